//! Ranks as processes on one machine or several, joined by MPI.
//!
//! The `mpi` crate binds the MPI library of the system; this file adds no network code. An error of
//! the library ends all ranks, which is MPI's own rule, and so does [`MpiRanks::abort`].

use std::{
    sync::{Arc, Mutex, MutexGuard},
    thread::sleep,
    time::Duration,
};

use burn::tensor::Tensor;
use mpi::{
    Threading,
    collective::{CommunicatorCollectives, Root, SystemOperation},
    environment::Universe,
    topology::{Communicator, SimpleCommunicator},
    traits::{Buffer, BufferMut},
};
use pass_model::group::Group;

use crate::{Transport, all_reduce};

/// How often a rank in [`Group::barrier`] looks whether the others have come.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Values of one message; the MPI interface counts in 31 bits.
const MESSAGE: usize = 1 << 28;

/// Why ranks could not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MpiError {
    /// MPI runs in this process already.
    Started,
    /// The MPI library cannot be called from the thread that needs it.
    Threads,
}

impl std::fmt::Display for MpiError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Started => "MPI has been started in this process already",
            Self::Threads => {
                "the MPI library allows calls from one thread only \
                 (MPI_THREAD_SERIALIZED is needed); use another build of it"
            }
        })
    }
}

impl std::error::Error for MpiError {}

/// One process of those that `mpirun` has started.
#[derive(Clone)]
pub struct MpiRanks {
    rank: usize,
    size: usize,
    local_rank: usize,
    /// MPI itself, until it is finished; locked while it is called.
    universe: Arc<Mutex<Option<Universe>>>,
}

impl MpiRanks {
    /// Starts MPI; once in a process, from its first thread.
    ///
    /// Without `mpirun` there is one rank.
    ///
    /// # Errors
    ///
    /// [`MpiError`].
    pub fn start() -> Result<Self, MpiError> {
        let started = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, threading) = started.ok_or(MpiError::Started)?;
        if threading < Threading::Serialized {
            return Err(MpiError::Threads);
        }
        let world = universe.world();
        Ok(Self {
            rank: world.rank() as usize,
            size: world.size() as usize,
            local_rank: world.split_shared(world.rank()).rank() as usize,
            universe: Arc::new(Mutex::new(Some(universe))),
        })
    }

    /// The place of this process among those of its machine, from 0: the GPU it should take.
    pub fn local_rank(&self) -> usize {
        self.local_rank
    }

    /// Ends MPI, once the work is done. Collective.
    pub fn finish(&self) {
        self.lock().take();
    }

    /// Ends all ranks at once, after this one has said why.
    pub fn abort(&self) -> ! {
        SimpleCommunicator::world().abort(1)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Universe>> {
        self.universe
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    /// Calls MPI, one thread at a time.
    fn with_world<T>(&self, call: impl FnOnce(&SimpleCommunicator) -> T) -> T {
        let universe = self.lock();
        let universe = universe.as_ref().expect("MPI has not been finished");
        call(&universe.world())
    }

    fn reduce<T: Copy>(&self, values: &mut [T], operation: SystemOperation)
    where
        [T]: Buffer + BufferMut,
    {
        self.with_world(|world| {
            for part in values.chunks_mut(MESSAGE) {
                let own = part.to_vec();
                world.all_reduce_into(&own[..], part, operation);
            }
        });
    }
}

impl std::fmt::Debug for MpiRanks {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "MPI rank {} of {}", self.rank, self.size)
    }
}

impl pass_model::group::Communicator for MpiRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum_tensor(&self, tensor: Tensor<1>) -> Tensor<1> {
        all_reduce(tensor, Group::new(self.clone()), Transport::Host)
    }

    fn sum(&self, values: &mut [f32]) {
        self.reduce(values, SystemOperation::sum());
    }

    fn sum_f64(&self, values: &mut [f64]) {
        self.reduce(values, SystemOperation::sum());
    }

    fn max(&self, values: &mut [f32]) {
        self.reduce(values, SystemOperation::max());
    }

    fn broadcast(&self, from: usize, bytes: &mut [u8]) {
        self.with_world(|world| {
            for part in bytes.chunks_mut(MESSAGE) {
                world.process_at_rank(from as i32).broadcast_into(part);
            }
        });
    }

    fn barrier(&self) {
        self.with_world(|world| {
            let mut arrived = world.immediate_barrier();
            while let Err(pending) = arrived.test() {
                arrived = pending;
                sleep(LOOK_AGAIN);
            }
        });
    }
}
