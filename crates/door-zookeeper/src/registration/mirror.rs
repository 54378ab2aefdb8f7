//! What a broker writes into a ZooKeeper elsewhere: the nodes that this door shows itself.
//!
//! - Its own `/brokers/ids/N`, ephemeral.
//! - If it answers for the cluster's administration: `/controller`, ephemeral, and while that is its
//!   own, topics with their configuration, and access rules. As among Kafka's brokers, only one
//!   writes them.
//!
//! Nothing is written into the tree of another cluster, and a node that another session holds is
//! waited for, never taken. Everything that is written may be written again: after a connection
//! was lost, nobody knows what became of the requests on their way.

use std::sync::{Arc, LazyLock};

use base::{BrokerId, Millis};
use broker::metadata::Metadata;
use broker::registry::Rule;
use bytes::Bytes;

use super::link::{Link, Lost};
use crate::acl;
use crate::limits::WRITTEN_BYTES_MAX;
use crate::map;
use crate::tree::{Change, Tree};
use crate::wire::client::{Answer, Ask};
use crate::wire::code::Code;

/// Anybody may do anything: what Kafka writes unless told otherwise.
static OPEN: LazyLock<[Rule; 1]> = LazyLock::new(|| [rule(acl::ALL, "world", "anyone")]);

/// Anybody may read, and only whoever wrote it may do more (Kafka's `zookeeper.set.acl`).
static RESTRICTED: LazyLock<[Rule; 2]> =
    LazyLock::new(|| [rule(acl::ALL, "auth", ""), rule(acl::READ, "world", "anyone")]);

fn rule(permissions: i32, scheme: &str, id: &str) -> Rule {
    Rule { permissions, scheme: scheme.into(), id: id.into() }
}

/// Below these everything is ours while `/controller` is. Configuration first, as in Kafka; rules
/// before what tells of their changes.
const MIRRORED: [&str; 6] = {
    let [literal, extended, literal_changes, extended_changes] = map::RULES;
    ["/config/topics", TOPICS, literal, extended, literal_changes, extended_changes]
};

const TOPICS: &str = "/brokers/topics";

const CONTROLLER: &str = "/controller";

/// How often a node is looked at that comes and goes meanwhile.
const CLAIMS_MAX: usize = 5;

/// Why not everything could be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Lost(#[from] Lost),
    /// `path`, and the error's number.
    #[error("ZooKeeper refused {0} (error {1})")]
    Refused(String, i32),
    #[error("the tree is that of cluster {0}, and this is cluster {1}; name another path")]
    OtherCluster(String, String),
    #[error("{0} comes and goes")]
    Restless(&'static str),
}

/// How a claim of a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Held {
    /// Not yet known.
    #[default]
    Unknown,
    /// It is ours.
    Ours,
    /// Of this session.
    Theirs(i64),
    /// It is not ours to claim.
    NotWanted,
}

/// What was done over this connection.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// The nodes that are always there were looked at.
    founded: bool,
    pub(super) id: Held,
    pub(super) controller: Held,
    /// Topics are as they should be.
    mirrored: bool,
}

/// The nodes as they should be, and what is known of those in ZooKeeper.
#[derive(Debug)]
pub(super) struct Mirror {
    broker: BrokerId,
    chroot: String,
    restrict: bool,
    tree: Tree,
    /// What the tree shows.
    shown: Option<Arc<Metadata>>,
    /// A session of ours that has ended. What it held may be there for a moment longer.
    pub(super) past_session: i64,
    pub(super) standing: Standing,
}

impl Mirror {
    pub(super) fn new(broker: BrokerId, chroot: &str, restrict: bool) -> Self {
        Self {
            broker,
            chroot: chroot.to_owned(),
            restrict,
            tree: Tree::default(),
            shown: None,
            past_session: 0,
            standing: Standing::default(),
        }
    }

    /// Brings ZooKeeper from whatever it shows to `metadata`. `look`: nodes that may be another's
    /// are to be looked at.
    pub(super) async fn sync(
        &mut self,
        link: &mut Link,
        metadata: &Arc<Metadata>,
        now: Millis,
        look: bool,
    ) -> Result<(), Trouble> {
        self.tree.begin(i64::try_from(metadata.revision).unwrap_or(i64::MAX), now);
        map::apply(&mut self.tree, self.shown.as_deref(), metadata, now);
        self.shown = Some(Arc::clone(metadata));
        let changes = self.tree.take_changes();
        let done = self.bring(link, &metadata.cluster_id, &changes, look).await;
        if done.is_err() {
            // What was done of it is not known.
            (self.standing.founded, self.standing.mirrored) = (false, false);
        }
        done
    }

    async fn bring(
        &mut self,
        link: &mut Link,
        cluster: &str,
        changes: &[Change],
        look: bool,
    ) -> Result<(), Trouble> {
        if !self.standing.founded {
            self.found(link, cluster).await?;
            self.standing.founded = true;
        }
        let id = format!("/brokers/ids/{}", self.broker.0);
        if look || self.standing.id == Held::Unknown || changes.iter().any(|c| c.path() == id) {
            self.standing.id = self.claim(link, "/brokers/ids", &id).await?;
        }
        if look
            || self.standing.controller == Held::Unknown
            || changes.iter().any(|c| c.path() == CONTROLLER)
        {
            self.standing.controller = self.claim_controller(link).await?;
        }
        if self.standing.controller != Held::Ours {
            self.standing.mirrored = false;
            return Ok(());
        }
        if !self.standing.mirrored || !self.carry_over(link, changes).await? {
            self.repair(link).await?;
            self.standing.mirrored = true;
        }
        Ok(())
    }

    /// Makes the nodes that are always there, where they are not. What is there stays as it is.
    async fn found(&self, link: &mut Link, cluster: &str) -> Result<(), Trouble> {
        let mut asks = Vec::new();
        for (at, _) in self.chroot.match_indices('/').skip(1) {
            asks.push(self.create_at(self.chroot[..at].to_owned(), None, false));
        }
        if !self.chroot.is_empty() {
            asks.push(self.create_at(self.chroot.clone(), None, false));
        }
        asks.push(self.create("/cluster", None, false));
        let data = self.data("/cluster/id");
        asks.push(self.create("/cluster/id", data, false));
        self.all(link, &asks, &[Code::NodeExists, Code::NoAuth]).await?;
        self.check_cluster(link, cluster).await?;
        let is_founding = |path: &str| {
            let is_below = |part: &str| path.strip_prefix(part).is_some_and(|p| p.starts_with('/'));
            !MIRRORED.into_iter().chain(["/brokers/ids"]).any(is_below)
                && !path.starts_with("/zookeeper")
                && path != "/"
                && path != CONTROLLER
        };
        let nodes = self.tree.shown_from("/").into_iter();
        let nodes = nodes.filter(|(path, _)| is_founding(path));
        let asks: Vec<_> =
            nodes.map(|(path, body)| self.create(path, body.data.clone(), false)).collect();
        self.all(link, &asks, &[Code::NodeExists]).await
    }

    /// What another cluster wrote is not ours to change.
    async fn check_cluster(&self, link: &mut Link, cluster: &str) -> Result<(), Trouble> {
        let path = self.chroot.clone() + "/cluster/id";
        let found = link.ask(Ask::GetData { path: path.clone(), watch: false }).await?;
        let Answer::Data(data, _) = found.map_err(|error| Trouble::Refused(path, error))? else {
            return Err(Lost::Malformed.into());
        };
        let value = serde_json::from_slice(data.as_deref().unwrap_or_default());
        let value: serde_json::Value = value.unwrap_or_default();
        match value["id"].as_str() {
            Some(id) if id == cluster => Ok(()),
            other => {
                let other = other.unwrap_or("unknown").to_owned();
                Err(Trouble::OtherCluster(other, cluster.to_owned()))
            }
        }
    }

    async fn claim_controller(&self, link: &mut Link) -> Result<Held, Trouble> {
        let controller = self.shown.as_ref().map(|metadata| metadata.controller);
        if controller == Some(self.broker) {
            return self.claim(link, "/controller", CONTROLLER).await;
        }
        if self.standing.controller == Held::Ours {
            let delete = Ask::Delete { path: self.chroot.clone() + CONTROLLER };
            self.all(link, &[delete], &[Code::NoNode]).await?;
        }
        Ok(Held::NotWanted)
    }

    /// Makes an ephemeral node ours, unless another session holds it; a watch is left there, so
    /// that we hear of its end.
    async fn claim(
        &self,
        link: &mut Link,
        name: &'static str,
        path: &str,
    ) -> Result<Held, Trouble> {
        let Some(data) = self.data(path) else {
            // Our metadata does not have us, as for a moment when a lease ended.
            return Ok(Held::Unknown);
        };
        for _ in 0..CLAIMS_MAX {
            let create = self.create(path, Some(data.clone()), true);
            let place = self.chroot.clone() + path;
            let look = Ask::GetData { path: place.clone(), watch: true };
            let mut answers = link.exchange(&[create, look]).await?;
            let (look, create) = (answers.pop(), answers.pop());
            if let Some(Err(error)) = create
                && error != Code::NodeExists.number()
            {
                return Err(Trouble::Refused(place, error));
            }
            match look {
                Some(Ok(Answer::Data(there, stat))) => {
                    let owner = stat.ephemeral_owner;
                    if owner == link.session.id {
                        if there.as_ref() != Some(&data) {
                            let set = Ask::SetData { path: place, data: Some(data) };
                            self.all(link, &[set], &[]).await?;
                        }
                        return Ok(Held::Ours);
                    }
                    if owner == 0 || owner != self.past_session {
                        return Ok(Held::Theirs(owner));
                    }
                    let delete = Ask::Delete { path: place };
                    self.all(link, &[delete], &[Code::NoNode]).await?;
                }
                // Gone between the two.
                Some(Err(error)) if error == Code::NoNode.number() => {}
                Some(Err(error)) => return Err(Trouble::Refused(place, error)),
                _ => return Err(Lost::Malformed.into()),
            }
        }
        Err(Trouble::Restless(name))
    }

    /// Carries changes over to topics that were as they should be. False: others wrote there.
    async fn carry_over(&self, link: &mut Link, changes: &[Change]) -> Result<bool, Trouble> {
        let mut asks = Vec::new();
        for change in changes.iter().filter(|change| self.is_mirrored(change.path())) {
            let path = change.path();
            asks.push(match change {
                Change::Created(_) => self.create(path, self.data(path), false),
                Change::DataChanged(_) => {
                    Ask::SetData { path: self.chroot.clone() + path, data: self.data(path) }
                }
                Change::Deleted(_) => Ask::Delete { path: self.chroot.clone() + path },
            });
        }
        let answers = link.exchange(&asks).await?;
        let mut pairs = asks.iter().zip(answers);
        Ok(pairs.all(|(ask, answer)| match (ask, answer) {
            (_, Ok(_)) => true,
            (Ask::Delete { .. }, Err(error)) => error == Code::NoNode.number(),
            _ => false,
        }))
    }

    /// Makes topics what they should be, whatever they are.
    async fn repair(&self, link: &mut Link) -> Result<(), Trouble> {
        for root in MIRRORED {
            self.clear(link, &self.parents(root)).await?;
            self.fill(link, root).await?;
        }
        Ok(())
    }

    /// The nodes at and below a root that should have no other children than they have here.
    fn parents(&self, root: &str) -> Vec<String> {
        let mut parents = vec![root.to_owned()];
        if root == TOPICS {
            let topics = self.tree.get(root).into_iter().flat_map(|node| &node.children);
            parents.extend(topics.map(|name| format!("{root}/{name}/partitions")));
        } else if map::RULES.contains(&root) {
            // What has data has no children.
            let below = self.tree.shown_from(root).into_iter().skip(1);
            parents.extend(
                below.filter(|(_, body)| body.data.is_none()).map(|(path, _)| path.to_string()),
            );
        }
        parents
    }

    /// Deletes what stands below these nodes and should not.
    async fn clear(&self, link: &mut Link, parents: &[String]) -> Result<(), Trouble> {
        let mut level = Vec::new();
        for (parent, names) in self.children(link, parents).await? {
            let paths = names.iter().map(|name| format!("{parent}/{name}"));
            level.extend(paths.filter(|path| self.tree.get(path).is_none()));
        }
        let mut doomed = Vec::new();
        while !level.is_empty() {
            let mut below = Vec::new();
            for (parent, names) in self.children(link, &level).await? {
                below.extend(names.iter().map(|name| format!("{parent}/{name}")));
            }
            doomed.append(&mut level);
            level = below;
        }
        // Children first.
        let asks: Vec<_> = doomed
            .into_iter()
            .rev()
            .map(|path| Ask::Delete { path: self.chroot.clone() + &path })
            .collect();
        self.all(link, &asks, &[Code::NoNode]).await
    }

    /// The children of each of these nodes that is there.
    async fn children<'a>(
        &self,
        link: &mut Link,
        paths: &'a [String],
    ) -> Result<Vec<(&'a String, Vec<String>)>, Trouble> {
        let ask = |path: &String| Ask::GetChildren { path: self.chroot.clone() + path };
        let asks: Vec<_> = paths.iter().map(ask).collect();
        let mut found = Vec::new();
        for (path, answer) in paths.iter().zip(link.exchange(&asks).await?) {
            match answer {
                Ok(Answer::Children(names)) => found.push((path, names)),
                Err(error) if error == Code::NoNode.number() => {}
                Err(error) => return Err(Trouble::Refused(path.clone(), error)),
                Ok(_) => return Err(Lost::Malformed.into()),
            }
        }
        Ok(found)
    }

    /// Writes what should stand below a node and does not, or not so.
    async fn fill(&self, link: &mut Link, root: &str) -> Result<(), Trouble> {
        let nodes = self.tree.shown_from(root);
        let nodes: Vec<_> = nodes.iter().filter(|(path, _)| self.is_mirrored(path)).collect();
        for part in nodes.chunks(crate::limits::WINDOW_ASKS_MAX) {
            let look = |path: &str| Ask::GetData { path: self.chroot.clone() + path, watch: false };
            let asks: Vec<_> = part.iter().map(|(path, _)| look(path)).collect();
            let mut writes = Vec::new();
            for ((path, body), answer) in part.iter().zip(link.exchange(&asks).await?) {
                match answer {
                    Ok(Answer::Data(data, _)) if data == body.data => {}
                    Ok(_) => {
                        let (path, data) = (self.chroot.clone() + path, body.data.clone());
                        writes.push(Ask::SetData { path, data });
                    }
                    Err(error) if error == Code::NoNode.number() => {
                        writes.push(self.create(path, body.data.clone(), false));
                    }
                    Err(error) => return Err(Trouble::Refused(path.to_string(), error)),
                }
            }
            self.all(link, &writes, &[]).await?;
        }
        Ok(())
    }

    /// Whether a node is one of a topic's, or of access rules, that can be written. That of a topic
    /// with some ten thousands of partitions is larger than ZooKeeper takes; such a topic is left
    /// out, and so would be ten thousand rules of one pattern.
    fn is_mirrored(&self, path: &str) -> bool {
        let below = |root: &str| path.strip_prefix(root)?.strip_prefix('/');
        let Some((root, rest)) = MIRRORED.iter().find_map(|root| Some((root, below(root)?))) else {
            return false;
        };
        let decisive = if map::RULES.contains(root) {
            path.to_owned()
        } else {
            let name = rest.split('/').next().unwrap_or(rest);
            format!("{TOPICS}/{name}")
        };
        let node = self.tree.get(&decisive);
        let data = node.and_then(|node| node.body.data.as_ref());
        data.is_none_or(|data| data.len() <= WRITTEN_BYTES_MAX)
    }

    fn data(&self, path: &str) -> Option<Bytes> {
        self.tree.get(path)?.body.data.clone()
    }

    fn create(&self, path: &str, data: Option<Bytes>, ephemeral: bool) -> Ask {
        // As in Kafka: old consumers, who are nobody in particular, keep their own there.
        let is_open = path == "/consumers";
        let rules = if self.restrict && !is_open { &RESTRICTED[..] } else { &OPEN[..] };
        Ask::Create { path: self.chroot.clone() + path, data, rules, ephemeral }
    }

    fn create_at(&self, path: String, data: Option<Bytes>, ephemeral: bool) -> Ask {
        let rules = if self.restrict { &RESTRICTED[..] } else { &OPEN[..] };
        Ask::Create { path, data, rules, ephemeral }
    }

    /// Sends requests, of which each must succeed or fail with one of these errors.
    async fn all(&self, link: &mut Link, asks: &[Ask], fine: &[Code]) -> Result<(), Trouble> {
        for (ask, answer) in asks.iter().zip(link.exchange(asks).await?) {
            if let Err(error) = answer
                && !fine.iter().any(|code| code.number() == error)
            {
                return Err(Trouble::Refused(ask.path().to_owned(), error));
            }
        }
        Ok(())
    }

    /// Whether a topic is left out because it is too large.
    pub(super) fn left_out(&self) -> Option<&str> {
        let topics = self.tree.get(TOPICS)?;
        let mut names = topics.children.iter();
        names.find(|name| !self.is_mirrored(&format!("{TOPICS}/{name}"))).map(|n| &**n)
    }
}
