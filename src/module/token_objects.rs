//! The handles of the token objects that an application has seen in one slot.
//!
//! A handle stays good until its object is gone, so there are as many as objects
//! were asked for: about 220 bytes each. What other processes destroy is noticed when
//! it is used, or by a sweep whenever the handles have doubled.

use crate::error::Result;
use crate::store::Sequence;
use crate::token::Token;
use crate::types::ObjectHandle;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct TokenObjects {
    /// By unique id.
    handles: HashMap<Arc<str>, ObjectHandle>,
    /// The commit up to which gone objects have been looked for.
    swept: Sequence,
    /// How many handles there were then.
    left: usize,
}

impl TokenObjects {
    /// Fewer are never swept.
    pub const SWEEP_MIN: usize = 1024;

    pub fn get(&self, unique_id: &str) -> Option<ObjectHandle> {
        self.handles.get(unique_id).copied()
    }

    pub fn insert(&mut self, unique_id: Arc<str>, handle: ObjectHandle) {
        self.handles.insert(unique_id, handle);
    }

    /// Forgets the handle of this object, unless it has another by now.
    pub fn remove(&mut self, unique_id: &str, handle: ObjectHandle) {
        if self.get(unique_id) == Some(handle) {
            self.handles.remove(unique_id);
        }
    }

    /// Forgets the handles that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(ObjectHandle) -> bool) {
        self.handles.retain(|_, handle| keep(*handle));
    }

    /// Forgets all handles; gives them.
    pub fn drain(&mut self) -> impl Iterator<Item = ObjectHandle> + '_ {
        self.handles.drain().map(|(_, handle)| handle)
    }

    /// Whether it is time for [`TokenObjects::sweep`].
    pub fn are_many(&self) -> bool {
        self.handles.len() >= Self::SWEEP_MIN.max(2 * self.left)
    }

    /// Forgets the handles of objects that the token has no more; gives them.
    ///
    /// # Errors
    /// The store could not be read; the next time is when the handles have doubled.
    pub fn sweep(
        &mut self,
        token: &Token,
        is_private: impl Fn(ObjectHandle) -> bool,
    ) -> Result<Vec<ObjectHandle>> {
        self.left = self.handles.len();
        let known = self.handles.iter().map(|(id, handle)| (&**id, is_private(*handle)));
        let (gone, now) = token.gone_since(self.swept, known)?;
        let gone: Vec<_> = gone.into_iter().map(Arc::<str>::from).collect();
        let handles = gone.iter().filter_map(|id| self.handles.remove(id)).collect();
        (self.swept, self.left) = (now, self.handles.len());
        Ok(handles)
    }
}
