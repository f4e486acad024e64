//! The way from a client to a home: the node's API within the process, while the node runs and nothing is cut.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures::FutureExt;
use griot_client::{
    core::Home,
    home::{Answer, HomeCalls, HomeError, HomeNews, Page, Reach},
};
use griot_node::api::Inside;
use griot_protocol::{
    Address, Cursor, NodeId, Nonce, RecordId,
    api::{Accepted, NodeInfo, Problem, RecordStatus, Registered, Registration, Unregistration},
};

use super::{life::node_at, stream::News};
use crate::{
    plan::{NodeIndex, PersonIndex},
    world::{World, member_of},
};

/// All homes of one person.
pub(super) struct Within {
    world: Weak<World>,
    person: PersonIndex,
}

impl Within {
    pub(super) fn new(world: &Arc<World>, person: PersonIndex) -> Self {
        Self { world: Arc::downgrade(world), person }
    }
}

impl Reach for Within {
    fn home(&self, home: &Home) -> Result<Arc<dyn HomeCalls>, HomeError> {
        let nowhere = || HomeError::Unreachable(format!("{} is no node", home.url));
        let node = node_at(&home.url).ok_or_else(nowhere)?;
        Ok(Arc::new(Door { world: self.world.clone(), person: self.person, node }))
    }
}

/// One person's way to one home.
struct Door {
    world: Weak<World>,
    person: PersonIndex,
    node: NodeIndex,
}

/// The door is open.
struct Open {
    world: Arc<World>,
    inside: Arc<Inside>,
    node: NodeIndex,
}

impl Door {
    fn open(&self) -> Result<Open, HomeError> {
        let world = self.world.upgrade().ok_or_else(|| HomeError::Unreachable("the world has ended".to_owned()))?;
        if !world.has_way(self.person, self.node) {
            return Err(HomeError::Unreachable("the way there is cut".to_owned()));
        }
        let refused = || HomeError::Unreachable("nobody listens there".to_owned());
        let inside = world.inside(self.node).ok_or_else(refused)?;
        inside.admit(member_of(self.person));
        Ok(Open { world, inside, node: self.node })
    }
}

impl Open {
    /// What a client hears. A node that has gone meanwhile says nothing: the connection breaks.
    fn heard<T>(&self, answer: Result<T, Problem>) -> Result<T, HomeError> {
        answer.map_err(|problem| {
            let is_there = self.world.inside(self.node).is_some_and(|inside| Arc::ptr_eq(&inside, &self.inside));
            if is_there {
                HomeError::Refused(problem)
            } else {
                HomeError::Unreachable("the connection broke".to_owned())
            }
        })
    }
}

impl HomeCalls for Door {
    fn greet(&self) -> Answer<'_, NodeInfo> {
        async move {
            let open = self.open()?;
            let answer = open.inside.info().await;
            open.heard(answer)
        }
        .boxed()
    }

    fn nonce(&self) -> Answer<'_, (NodeId, Nonce)> {
        async move {
            let open = self.open()?;
            let given = open.heard(open.inside.nonces(member_of(self.person), 1))?;
            let none = || HomeError::NotANode("it gave no nonces".to_owned());
            Ok((given.node_id, given.nonces.first().copied().ok_or_else(none)?))
        }
        .boxed()
    }

    /// None is kept: asking costs no way here.
    fn forget_nonces(&self) {}

    fn register<'a>(&'a self, address: &'a Address, body: &'a Registration) -> Answer<'a, Registered> {
        async move {
            let open = self.open()?;
            let answer = open.inside.register(member_of(self.person), *address, body.clone()).await;
            open.heard(answer)
        }
        .boxed()
    }

    fn unregister<'a>(&'a self, address: &'a Address, body: &'a Unregistration) -> Answer<'a, ()> {
        async move {
            let open = self.open()?;
            let answer = open.inside.unregister(member_of(self.person), *address, body.clone()).await;
            match open.heard(answer) {
                Err(HomeError::Refused(problem)) if problem.status == 404 => Ok(()),
                other => other,
            }
        }
        .boxed()
    }

    fn submit(&self, frame: Bytes) -> Answer<'_, Accepted> {
        async move {
            let open = self.open()?;
            let handed = open.world.hands_over(self.person, &frame);
            let answer = open.inside.submit(member_of(self.person), frame).await;
            let accepted = open.heard(answer)?;
            open.world.handed_over(self.node, handed);
            Ok(accepted)
        }
        .boxed()
    }

    fn fetch<'a>(&'a self, address: &'a Address, after: Option<Cursor>) -> Answer<'a, Page> {
        async move {
            let open = self.open()?;
            let page = open.heard(open.inside.page(member_of(self.person), address, after))?;
            page.entries.iter().for_each(|(_, _, frame)| open.world.gave(self.person, self.node, frame));
            let entries = page.entries.into_iter().map(|(cursor, _, frame)| (cursor, frame)).collect();
            Ok(Page { entries, more: page.more })
        }
        .boxed()
    }

    fn status<'a>(&'a self, id: &'a RecordId) -> Answer<'a, Option<RecordStatus>> {
        async move {
            let open = self.open()?;
            let answer = open.inside.status(id).await;
            open.heard(answer)
        }
        .boxed()
    }

    fn stream(&self) -> Answer<'_, Box<dyn HomeNews>> {
        async move {
            let open = self.open()?;
            let stream = open.heard(open.inside.stream(member_of(self.person)))?;
            let news = News::greeted(&open.world, self.person, self.node, stream).await?;
            Ok(Box::new(news) as Box<dyn HomeNews>)
        }
        .boxed()
    }
}
