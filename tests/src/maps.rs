//! The enforcer's maps, as root outside any session reaches them: for tests that break one and look what
//! is decided then. What was broken is whole again when its guard is dropped.

use aya::{
    Pod,
    maps::{Array, ArrayOfMaps, HashMap, Map, MapData},
};
use enforcer_common::{
    label::{AgentParams, Label, Session},
    maps::{MAX_AGENTS, MAX_SESSIONS},
};

use crate::wait::eventually;

/// Where the maps are pinned.
const PINS: &str = "/sys/fs/bpf/enforcer/maps";

fn pinned(name: &str) -> Map {
    let data = MapData::from_pin(format!("{PINS}/{name}")).expect("the pin");
    Map::from_map_data(data).expect("a map")
}

/// A hash table with no room left: filled up with entries that mean nothing to anybody.
pub struct Full<K: Pod, V: Pod> {
    map: HashMap<MapData, K, V>,
    keys: Vec<K>,
}

impl<K: Pod, V: Pod + Default> Full<K, V> {
    /// Fills the table of this name with these keys, until it takes no more.
    ///
    /// # Panics
    /// When there are too few keys.
    pub fn new(name: &str, mut some: impl Iterator<Item = K>) -> Self {
        let map = HashMap::try_from(pinned(name)).expect("a hash table");
        let mut full = Self {
            map,
            keys: Vec::new(),
        };
        loop {
            let key = some.next().expect("more keys than there is room for");
            if full.map.insert(key, V::default(), 0).is_err() {
                return full;
            }
            full.keys.push(key);
        }
    }
}

impl<K: Pod, V: Pod> Full<K, V> {
    /// Entries that there was room for.
    #[must_use]
    pub fn added(&self) -> usize {
        self.keys.len()
    }
}

impl<K: Pod, V: Pod> Drop for Full<K, V> {
    fn drop(&mut self) {
        for key in &self.keys {
            let _ = self.map.remove(key); // the next test finds out
        }
    }
}

/// The label of a process with one thread, changed.
pub struct ChangedLabel {
    map: HashMap<MapData, u64, Label>,
    task: u64,
    before: Label,
}

impl ChangedLabel {
    /// Changes that of the process with this pid, which must not act meanwhile.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn new(pid: u32, change: impl FnOnce(&mut Label)) -> Self {
        let mut map = HashMap::try_from(pinned("LABELS")).expect("a hash table");
        let labels = map.iter().map(|entry| entry.expect("a label"));
        let (task, before): (u64, Label) = labels
            .into_iter()
            .find(|(_, label): &(u64, Label)| label.tgid == pid)
            .expect("it is inside a session");
        let mut changed = before;
        change(&mut changed);
        map.insert(task, changed, 0).expect("it is changed");
        Self { map, task, before }
    }
}

impl Drop for ChangedLabel {
    fn drop(&mut self) {
        let _ = self.map.insert(self.task, self.before, 0); // the next test finds out
    }
}

/// A session of the table, changed. Its tasks are counted by its id: none may come or go while that is
/// another one, so both changes wait until there is but one task.
pub struct ChangedSession {
    map: Array<MapData, Session>,
    slot: u32,
    before: Session,
}

impl ChangedSession {
    /// Changes the session with this id (16 hexadecimal digits).
    ///
    /// # Panics
    /// When there is none, or more than one task stays in it.
    #[must_use]
    pub fn new(id: &str, change: impl FnOnce(&mut Session)) -> Self {
        let mut map = Array::try_from(pinned("SESSIONS")).expect("an array");
        let (slot, _) = find_session(&map, id);
        wait_for_one_task(slot);
        let before = map.get(&slot, 0).expect("a slot");
        let mut changed = before;
        change(&mut changed);
        map.set(slot, changed, 0).expect("it is changed");
        Self { map, slot, before }
    }
}

impl Drop for ChangedSession {
    fn drop(&mut self) {
        wait_for_one_task(self.slot);
        let _ = self.map.set(self.slot, self.before, 0); // the next test finds out
    }
}

/// A task is gone when the kernel has freed it, some time after its parent waited for it.
fn wait_for_one_task(slot: u32) {
    let labels: HashMap<_, u64, Label> = HashMap::try_from(pinned("LABELS")).expect("a hash table");
    let tasks = || {
        let labels = labels.iter().map(|entry| entry.expect("a label").1);
        labels.filter(|label| label.slot == slot).count()
    };
    eventually("a session of one task", || tasks() == 1);
}

fn find_session(map: &Array<MapData, Session>, id: &str) -> (u32, Session) {
    let id = u64::from_str_radix(id, 16).expect("an id");
    let sessions = (0..MAX_SESSIONS).map(|slot| (slot, map.get(&slot, 0).expect("a slot")));
    sessions
        .into_iter()
        .find(|(_, session)| session.id == id)
        .expect("the session is in the table")
}

type Params = Array<MapData, AgentParams>;

/// The parameters of an agent in the policy in force, changed; all others stay.
pub struct ChangedAgent {
    policy: ArrayOfMaps<MapData, Params>,
    before: Vec<AgentParams>,
}

impl ChangedAgent {
    /// Changes those of the session with this id.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn new(session: &str, change: impl FnOnce(&mut AgentParams)) -> Self {
        let sessions = Array::try_from(pinned("SESSIONS")).expect("an array");
        let (_, found) = find_session(&sessions, session);
        Self::of_slot(found.agent, change)
    }

    /// Changes those of the agent with this slot.
    ///
    /// # Panics
    /// When no policy is in force.
    #[must_use]
    pub fn of_slot(slot: u32, change: impl FnOnce(&mut AgentParams)) -> Self {
        let policy: ArrayOfMaps<MapData, Params> =
            ArrayOfMaps::try_from(pinned("POLICY")).expect("an array of arrays");
        let inner = policy.get(&0, 0).expect("a policy is in force");
        let before: Vec<_> = inner.iter().map(|one| one.expect("an agent")).collect();
        let mut after = before.clone();
        change(&mut after[slot as usize]);
        let mut changed = Self { policy, before };
        changed.put(&after);
        changed
    }

    fn put(&mut self, params: &[AgentParams]) {
        let mut inner = Params::create(MAX_AGENTS, 0).expect("an array");
        for (slot, one) in (0..MAX_AGENTS).zip(params) {
            inner.set(slot, *one, 0).expect("an agent");
        }
        self.policy.set(0, &inner, 0).expect("it is in force");
    }
}

impl Drop for ChangedAgent {
    fn drop(&mut self) {
        let before = self.before.clone();
        self.put(&before);
    }
}
