//! Operation codes (`ZooDefs.OpCode`), all that ZooKeeper 3.8 clients send.

/// An operation that a client may ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) code: i32,
    /// Its name among ZooKeeper's.
    #[cfg_attr(not(test), allow(dead_code, reason = "the page is written by a test"))]
    pub(crate) name: &'static str,
    /// What the answer to `cons` calls it.
    short: &'static str,
    /// The release of ZooKeeper that brought it, if that is younger than 3.4.
    #[cfg_attr(not(test), allow(dead_code, reason = "the page is written by a test"))]
    pub(crate) since: &'static str,
    /// What is answered instead, where it is not served; empty where it is.
    #[cfg_attr(not(test), allow(dead_code, reason = "the page is written by a test"))]
    pub(crate) refused: &'static str,
    /// What users should know of it.
    #[cfg_attr(not(test), allow(dead_code, reason = "the page is written by a test"))]
    pub(crate) notes: &'static str,
}

/// Makes a constant of each operation's code, and the table of them all, which is the one in
/// `docs/doors/zookeeper.md`: code, name, short name, since when, what it is refused with, notes.
macro_rules! operations {
    ($($constant:ident = $code:literal $name:literal $short:literal $since:literal
       $refused:literal $notes:literal;)*) => {
        $(pub(crate) const $constant: i32 = $code;)*

        /// All operations.
        pub(crate) const OPERATIONS: &[Operation] = &[$(Operation {
            code: $code,
            name: $name,
            short: $short,
            since: $since,
            refused: $refused,
            notes: $notes,
        },)*];
    };
}

#[rustfmt::skip]
operations! {
    CREATE = 1 "create" "CREA" "" "" "persistent, ephemeral, sequential, both. Sequence numbers count all children ever created, as in ZooKeeper";
    DELETE = 2 "delete" "DELE" "" "" "with a version";
    EXISTS = 3 "exists" "EXIS" "" "" "may leave a watch, also where there is no node";
    GET_DATA = 4 "getData" "GETD" "" "" "may leave a watch";
    SET_DATA = 5 "setData" "SETD" "" "" "with a version";
    GET_ACL = 6 "getACL" "GETA" "" "" "who may not administer a node sees `x` in place of digests";
    SET_ACL = 7 "setACL" "SETA" "" "" "with a version; schemes `world`, `auth`, `digest` and `ip` (also IPv6)";
    GET_CHILDREN = 8 "getChildren" "GETC" "" "" "may leave a watch";
    SYNC = 9 "sync" "SYNC" "" "" "";
    PING = 11 "ping" "PING" "" "" "";
    GET_CHILDREN2 = 12 "getChildren2" "GETC" "" "" "may leave a watch";
    CHECK = 13 "check" "CHEC" "" "" "alone, and in a `multi`";
    MULTI = 14 "multi" "MULT" "" "" "all or nothing, with ZooKeeper's results";
    CREATE2 = 15 "create2" "CREA" "3.5" "" "";
    RECONFIG = 16 "reconfig" "RECO" "3.5" "`ReconfigDisabled`" "";
    CHECK_WATCHES = 17 "checkWatches" "CHKW" "3.5" "" "";
    REMOVE_WATCHES = 18 "removeWatches" "REMW" "3.5" "" "for data or children only, it takes one-shot watches";
    CREATE_CONTAINER = 19 "createContainer" "CREA" "3.5" "" "empty containers are deleted once a minute";
    CREATE_TTL = 21 "createTTL" "CREA" "3.5" "`Unimplemented`, as ZooKeeper without extended types" "and flags with a time to live";
    MULTI_READ = 22 "multiRead" "MLTR" "3.6" "" "";
    AUTH = 100 "auth" "NA" "" "" "`digest`; with another scheme `AuthFailed`, and the connection is closed";
    SET_WATCHES = 101 "setWatches" "SETW" "" "" "";
    SASL = 102 "sasl" "NA" "" "`AuthFailed`, and the connection is closed" "";
    GET_EPHEMERALS = 103 "getEphemerals" "GETE" "3.6" "" "";
    GET_ALL_CHILDREN_NUMBER = 104 "getAllChildrenNumber" "GETACN" "3.6" "" "";
    SET_WATCHES2 = 105 "setWatches2" "STW2" "3.6" "" "";
    ADD_WATCH = 106 "addWatch" "ADDW" "3.6" "" "persistent, and recursive";
    WHO_AM_I = 107 "whoAmI" "HOMI" "3.7" "" "";
    CLOSE_SESSION = -11 "closeSession" "CLOS" "" "" "";
}

/// Of a result in a transaction: an error, or the end.
pub(crate) const ERROR: i32 = -1;

/// The operation's short name in the answer to `cons`.
pub(crate) fn short_name(op: i32) -> &'static str {
    OPERATIONS.iter().find(|known| known.code == op).map_or("NA", |known| known.short)
}
