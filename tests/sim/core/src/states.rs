//! What each cloud has beside objects, kept by its type, so that this crate knows none of them.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{any::Any, collections::HashMap, fmt::Debug};

/// What one cloud has beside objects; stored with the rest of the state.
pub trait CloudState: Any + Debug + Default + Send + Serialize + DeserializeOwned {
    /// Its name in the stored state.
    const NAME: &'static str;
}

/// A [`CloudState`] without its type.
trait Stored: Any + Debug + Send {
    fn save(&self) -> serde_json::Result<Value>;
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
}

impl<T: CloudState> Stored for T {
    fn save(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// All clouds' states.
#[derive(Debug, Default)]
pub struct States(HashMap<&'static str, Box<dyn Stored>>);

impl States {
    /// Puts `T` in place, continuing from what `stored` holds of it. Done once for each cloud before it serves.
    ///
    /// # Errors
    /// A stored state that does not fit.
    pub fn install<T: CloudState>(&mut self, stored: &HashMap<String, Value>) -> serde_json::Result<()> {
        let state: T = stored.get(T::NAME).map(T::deserialize).transpose()?.unwrap_or_default();
        self.0.insert(T::NAME, Box::new(state));
        Ok(())
    }

    /// The state of a cloud that was installed.
    #[must_use]
    pub fn of<T: CloudState>(&self) -> &T {
        let found = self.0.get(T::NAME).and_then(|s| s.any().downcast_ref());
        found.unwrap_or_else(|| unreachable!("a cloud's state is installed before the cloud serves"))
    }

    /// As [`Self::of`], to change it.
    pub fn of_mut<T: CloudState>(&mut self) -> &mut T {
        let found = self.0.get_mut(T::NAME).and_then(|s| s.any_mut().downcast_mut());
        found.unwrap_or_else(|| unreachable!("a cloud's state is installed before the cloud serves"))
    }

    /// All of them as they are stored.
    ///
    /// # Errors
    /// None in practice: states can be written as JSON.
    pub fn save(&self) -> serde_json::Result<HashMap<&'static str, Value>> {
        self.0.iter().map(|(name, state)| Ok((*name, state.save()?))).collect()
    }
}
