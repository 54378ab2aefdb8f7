//! What a schema file says, as plain data.

/// Versions `from..=to` of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) from: i16,
    pub(crate) to: i16,
}

impl Versions {
    pub(crate) fn overlap(self, other: Self) -> Option<Self> {
        let both = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (both.from <= both.to).then_some(both)
    }
}

/// The type of a field, or of the elements of an array field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int(&'static str),
    Float64,
    Uuid,
    String,
    Bytes,
    Struct(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) array: bool,
    pub(crate) versions: Versions,
    pub(crate) null: Option<Versions>,
    pub(crate) tag: Option<u32>,
    pub(crate) default: Option<String>,
    /// Lengths keep their fixed width even in flexible versions (the client id of the header).
    pub(crate) never_flexible: bool,
    /// The fields of the struct that this field declares.
    pub(crate) fields: Vec<Field>,
}

/// A struct that several fields share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) versions: Versions,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Data,
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) key: Option<i16>,
    pub(crate) versions: Versions,
    pub(crate) flexible_from: Option<i16>,
    pub(crate) fields: Vec<Field>,
    pub(crate) shared: Vec<Shared>,
}
