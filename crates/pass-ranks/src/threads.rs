//! Ranks as threads of one process, one for each of its devices.
//!
//! They meet in the memory of the host. A rank waits in its own thread, never in a worker of rayon's
//! pool, which all ranks compute with: so any number of ranks gets on with a pool of one.

use std::{
    any::Any,
    panic::resume_unwind,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use burn::tensor::Tensor;
use pass_model::group::{Communicator, Group};

use crate::{Transport, all_reduce};

/// What the first thread of a process has on Linux; the others have a quarter of it.
const STACK_BYTES: usize = 8 << 20;

/// One thread of a group of threads.
#[derive(Clone, Debug)]
pub struct ThreadRanks {
    rank: usize,
    meeting: Arc<Meeting>,
    transport: Transport,
}

/// How the work of a rank ended.
#[derive(Debug)]
pub enum Ending<T> {
    /// It returned.
    Returned(T),
    /// It panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
    /// It waited for a rank that had come to its end.
    Forsaken,
}

/// Where the threads lay down their values and pick up the result.
#[derive(Debug)]
struct Meeting {
    size: usize,
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Debug)]
struct State {
    /// What each rank has laid down.
    values: Vec<Option<Values>>,
    /// What was made of it, until all have picked it up.
    result: Option<Arc<Values>>,
    /// Ranks that have not picked up the result yet.
    leaving: usize,
    /// A rank has come to its end, or has panicked: the others would wait for it in vain.
    left: bool,
}

/// Values of any kind that is exchanged, and what is made of them.
#[derive(Clone, Debug, PartialEq)]
enum Values {
    Sum(Vec<f32>),
    SumF64(Vec<f64>),
    Max(Vec<f32>),
    Broadcast(usize, Vec<u8>),
}

impl ThreadRanks {
    /// A group of `size` ranks, whose tensors are added up as `transport` says.
    ///
    /// # Panics
    ///
    /// If `size` is zero, or the transport is for another number of GPUs.
    pub fn group(size: usize, transport: Transport) -> Vec<Self> {
        assert!(size > 0, "a group needs at least one rank");
        if let Transport::Gpus(devices) = &transport {
            assert_eq!(devices.len(), size, "GPUs of a group of {size} ranks");
        }
        let state = State {
            values: vec![None; size],
            result: None,
            leaving: 0,
            left: false,
        };
        let meeting = Arc::new(Meeting {
            size,
            state: Mutex::new(state),
            turn: Condvar::new(),
        });
        let member = |rank| Self {
            rank,
            meeting: meeting.clone(),
            transport: transport.clone(),
        };
        (0..size).map(member).collect()
    }

    /// Runs `work` once for each rank of the group, in a thread of its own, and says how each ended, in
    /// their order. When one ends before the others have met it for the last time, these are unwound
    /// at their next meeting with it.
    pub fn endings<T: Send>(group: Vec<Self>, work: impl Fn(Group) -> T + Sync) -> Vec<Ending<T>> {
        let work = &work;
        thread::scope(|scope| {
            let start = |ranks: Self| {
                let named = thread::Builder::new().name(format!("rank {}", ranks.rank));
                let started = named.stack_size(STACK_BYTES).spawn_scoped(scope, move || {
                    let _watch = Watch(ranks.meeting.clone());
                    work(Group::new(ranks))
                });
                started.expect("the system can start a thread")
            };
            let threads: Vec<_> = group.into_iter().map(start).collect();
            let ending = |thread: thread::ScopedJoinHandle<'_, T>| match thread.join() {
                Ok(result) => Ending::Returned(result),
                Err(payload) if payload.is::<NobodyComes>() => Ending::Forsaken,
                Err(payload) => Ending::Panicked(payload),
            };
            threads.into_iter().map(ending).collect()
        })
    }

    /// Runs `work` once in each of `size` threads, whose tensors are added up on the host, and returns
    /// what they return, by rank.
    ///
    /// # Panics
    ///
    /// If one of them panics, or comes to its end while others wait for it.
    pub fn run<T: Send>(size: usize, work: impl Fn(Group) -> T + Sync) -> Vec<T> {
        let mut results = Vec::new();
        let mut forsaken = false;
        for ending in Self::endings(Self::group(size, Transport::Host), work) {
            match ending {
                Ending::Returned(result) => results.push(result),
                Ending::Panicked(payload) => resume_unwind(payload),
                Ending::Forsaken => forsaken = true,
            }
        }
        assert!(
            !forsaken,
            "a rank has come to its end while others waited for it"
        );
        results
    }

    /// Lays `own` down, waits for the others, and returns what is made of all, the same on each rank.
    fn meet(&self, own: Values) -> Arc<Values> {
        let meeting = &*self.meeting;
        let mut guard = meeting.wait_while(meeting.lock(), |state| state.leaving > 0);
        let state = &mut *guard;
        state.values[self.rank] = Some(own);
        if state.values.iter().all(Option::is_some) {
            let values = state.values.iter_mut().filter_map(Option::take);
            state.result = Some(Arc::new(joined(values.collect())));
            state.leaving = meeting.size;
            meeting.turn.notify_all();
        }
        let mut state = meeting.wait_while(guard, |state| state.leaving == 0);
        let result = state.result.clone().expect("ranks are leaving with it");
        state.leaving -= 1;
        if state.leaving == 0 {
            state.result = None;
            meeting.turn.notify_all();
        }
        result
    }
}

impl Meeting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        unready: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let state = self
            .turn
            .wait_while(state, |state| unready(state) && !state.left)
            .unwrap_or_else(PoisonError::into_inner);
        if unready(&state) {
            drop(state);
            // Without a message: the rank that has ended says why.
            resume_unwind(Box::new(NobodyComes));
        }
        state
    }
}

/// With this a rank is unwound that waits for one that has come to its end.
struct NobodyComes;

/// Tells the others when its thread ends.
struct Watch(Arc<Meeting>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.lock().left = true;
        self.0.turn.notify_all();
    }
}

/// Folds the values in the order of the ranks, so that the result does not depend on who came first.
fn joined(mut values: Vec<Values>) -> Values {
    if let Values::Broadcast(from, _) = values[0] {
        values.swap(0, from); // the first wins
    }
    let folded = values
        .into_iter()
        .reduce(|left, right| match (left, right) {
            (Values::Sum(left), Values::Sum(right)) => {
                Values::Sum(zipped(left, right, |a, b| a + b))
            }
            (Values::SumF64(left), Values::SumF64(right)) => {
                Values::SumF64(zipped(left, right, |a, b| a + b))
            }
            (Values::Max(left), Values::Max(right)) => Values::Max(zipped(left, right, f32::max)),
            (Values::Broadcast(from, bytes), Values::Broadcast(other, others)) => {
                assert_eq!(from, other, "the rank whose bytes two ranks want");
                assert_eq!(bytes.len(), others.len(), "bytes that two ranks broadcast");
                Values::Broadcast(from, bytes)
            }
            (left, right) => {
                panic!("two ranks meet in different operations: {left:?} and {right:?}")
            }
        });
    folded.expect("there is a rank 0")
}

fn zipped<T: Copy>(left: Vec<T>, right: Vec<T>, join: impl Fn(T, T) -> T) -> Vec<T> {
    assert_eq!(left.len(), right.len(), "values that two ranks join");
    left.into_iter()
        .zip(right)
        .map(|(a, b)| join(a, b))
        .collect()
}

impl Communicator for ThreadRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.meeting.size
    }

    fn sum_tensor(&self, tensor: Tensor<1>) -> Tensor<1> {
        all_reduce(tensor, Group::new(self.clone()), self.transport.clone())
    }

    fn sum(&self, values: &mut [f32]) {
        if let Values::Sum(sum) = &*self.meet(Values::Sum(values.to_vec())) {
            values.copy_from_slice(sum);
        }
    }

    fn sum_f64(&self, values: &mut [f64]) {
        if let Values::SumF64(sum) = &*self.meet(Values::SumF64(values.to_vec())) {
            values.copy_from_slice(sum);
        }
    }

    fn max(&self, values: &mut [f32]) {
        if let Values::Max(max) = &*self.meet(Values::Max(values.to_vec())) {
            values.copy_from_slice(max);
        }
    }

    fn broadcast(&self, from: usize, bytes: &mut [u8]) {
        if let Values::Broadcast(_, sent) = &*self.meet(Values::Broadcast(from, bytes.to_vec())) {
            bytes.copy_from_slice(sent);
        }
    }

    fn barrier(&self) {
        self.meet(Values::Broadcast(0, Vec::new()));
    }
}
