//! Who has queues for themselves.

use crate::{Broker, PublisherId};

/// Somebody who may have queues for themselves. When it is dropped, these are deleted.
#[derive(Debug)]
pub struct Owner {
    broker: Broker,
    id: PublisherId,
    is_gone: bool,
}

impl Broker {
    /// Somebody new.
    pub fn new_owner(&self) -> Owner {
        Owner { broker: self.clone(), id: self.new_publisher(), is_gone: false }
    }
}

impl Owner {
    /// Who it is, to queues and as a publisher.
    pub fn id(&self) -> PublisherId {
        self.id
    }

    /// Deletes its queues before this returns.
    pub async fn leave(&mut self) {
        self.is_gone = true;
        self.broker.owner_gone(self.id).await;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.is_gone {
            let (broker, id) = (self.broker.clone(), self.id);
            tokio::spawn(async move { broker.owner_gone(id).await });
        }
    }
}
