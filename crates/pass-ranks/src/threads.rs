//! Ranks as threads of one process: what tests and examples use in place of several processes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use burn::tensor::Tensor;
use pass_model::ranks::Ranks;

use crate::all_reduce;

/// One thread of a group of threads.
#[derive(Clone, Debug)]
pub struct ThreadRanks {
    rank: usize,
    meeting: Arc<Meeting>,
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
    Broadcast(Vec<u8>),
}

impl ThreadRanks {
    /// A group of `size` ranks, one for each thread.
    ///
    /// # Panics
    ///
    /// If `size` is zero.
    pub fn group(size: usize) -> Vec<Self> {
        assert!(size > 0, "a group needs at least one rank");
        let state = State {
            values: vec![None; size],
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
        };
        (0..size).map(member).collect()
    }

    /// Runs `work` once in each of `size` threads and returns what they return, by rank.
    ///
    /// # Panics
    ///
    /// If one of them panics, or comes to its end while others wait for it; these then panic too.
    pub fn run<T: Send>(size: usize, work: impl Fn(Arc<dyn Ranks>) -> T + Sync) -> Vec<T> {
        let work = &work;
        std::thread::scope(|scope| {
            let start = |ranks: Self| {
                scope.spawn(move || {
                    let _watch = Watch(ranks.meeting.clone());
                    work(Arc::new(ranks))
                })
            };
            let threads: Vec<_> = Self::group(size).into_iter().map(start).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, T>| thread.join();
            threads
                .into_iter()
                .map(|thread| join(thread).unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    /// Lays `own` down, waits for the others, and returns what is made of all, the same on each rank.
    fn meet(&self, own: Values) -> Values {
        let meeting = &*self.meeting;
        let mut state = meeting.wait_while(meeting.lock(), |state| state.leaving > 0);
        state.values[self.rank] = Some(own);
        if state.values.iter().all(Option::is_some) {
            state.leaving = meeting.size;
            meeting.turn.notify_all();
        }
        let mut state = meeting.wait_while(state, |state| state.leaving == 0);
        let result = joined(&state.values);
        state.leaving -= 1;
        if state.leaving == 0 {
            state.values.fill(None);
            meeting.turn.notify_all();
        }
        result
    }
}

impl Meeting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no thread panics while it holds this")
    }

    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        unready: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let state = self
            .turn
            .wait_while(state, |state| unready(state) && !state.left)
            .expect("no thread panics while it holds this");
        if unready(&state) {
            drop(state);
            panic!("another rank has come to its end");
        }
        state
    }
}

/// Tells the others when its thread ends.
struct Watch(Arc<Meeting>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.lock().left = true;
        self.0.turn.notify_all();
    }
}

/// Folds the values in the order of the ranks, so that the result does not depend on who came first.
fn joined(values: &[Option<Values>]) -> Values {
    let mut values = values.iter().flatten().cloned();
    let first = values.next().expect("there is a rank 0");
    values.fold(first, |left, right| match (left, right) {
        (Values::Sum(left), Values::Sum(right)) => Values::Sum(zipped(left, right, |a, b| a + b)),
        (Values::SumF64(left), Values::SumF64(right)) => {
            Values::SumF64(zipped(left, right, |a, b| a + b))
        }
        (Values::Max(left), Values::Max(right)) => Values::Max(zipped(left, right, f32::max)),
        (Values::Broadcast(first), Values::Broadcast(other)) => {
            assert_eq!(first.len(), other.len(), "bytes that two ranks broadcast");
            Values::Broadcast(first)
        }
        (left, right) => panic!("two ranks meet in different operations: {left:?} and {right:?}"),
    })
}

fn zipped<T: Copy>(left: Vec<T>, right: Vec<T>, join: impl Fn(T, T) -> T) -> Vec<T> {
    assert_eq!(left.len(), right.len(), "values that two ranks join");
    left.into_iter()
        .zip(right)
        .map(|(a, b)| join(a, b))
        .collect()
}

impl Ranks for ThreadRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.meeting.size
    }

    fn sum_tensor(&self, tensor: Tensor<1>) -> Tensor<1> {
        all_reduce(tensor, Arc::new(self.clone()))
    }

    fn sum(&self, values: &mut [f32]) {
        if let Values::Sum(sum) = self.meet(Values::Sum(values.to_vec())) {
            values.copy_from_slice(&sum);
        }
    }

    fn sum_f64(&self, values: &mut [f64]) {
        if let Values::SumF64(sum) = self.meet(Values::SumF64(values.to_vec())) {
            values.copy_from_slice(&sum);
        }
    }

    fn max(&self, values: &mut [f32]) {
        if let Values::Max(max) = self.meet(Values::Max(values.to_vec())) {
            values.copy_from_slice(&max);
        }
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        if let Values::Broadcast(first) = self.meet(Values::Broadcast(bytes.to_vec())) {
            bytes.copy_from_slice(&first);
        }
    }

    fn wait(&self) {
        self.meet(Values::Broadcast(Vec::new()));
    }
}
