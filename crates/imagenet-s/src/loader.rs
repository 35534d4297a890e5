//! The loader: prepares items on several threads ahead of their use, and hands them out in order.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::error::Error;

/// An iterator over prepared items, in the order of the list it was given.
///
/// Results do not depend on the number of workers. At most `capacity` items are being prepared
/// or wait to be taken at any time, which bounds the memory. The first error, in the order of the
/// list, is handed out in its turn and ends the iteration, unless the loader is
/// [`skipping`](Self::skipping); a panic in the preparation becomes such an error. Dropping the
/// loader stops the workers after the item each is at, and waits for them.
///
/// ```
/// use imagenet_s::Loader;
///
/// let squares = Loader::new(vec![1_u64, 2, 3, 4], 2, 3, |n| Ok(n * n));
/// let squares: Result<Vec<u64>, _> = squares.collect();
/// assert_eq!(squares?, [1, 4, 9, 16]);
/// # Ok::<(), imagenet_s::Error>(())
/// ```
#[derive(Debug)]
pub struct Loader<T> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
    started: Instant,
    waited: Duration,
    skipped: Vec<Skipped>,
}

/// An item that could not be prepared and was left out.
#[derive(Debug)]
pub struct Skipped {
    /// Its place in the list.
    pub item: usize,
    /// What was wrong with it.
    pub error: Error,
}

/// How a [`Loader`] keeps up with its consumer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderStats {
    /// Items handed out.
    pub items: u64,
    /// Seconds since the loader was made.
    pub seconds: f64,
    /// Seconds of these that the consumer waited for an item: near 0 when the loader keeps up.
    pub waited_seconds: f64,
}

impl LoaderStats {
    /// Items handed out in a second.
    pub fn items_per_second(&self) -> f64 {
        self.items as f64 / self.seconds
    }
}

#[derive(Debug)]
struct Shared<T> {
    line: Mutex<Line<T>>,
    /// The item at the front of the line was finished.
    front_is_done: Condvar,
    /// There is room in the line, or nothing left to do.
    room: Condvar,
    capacity: usize,
    skips: bool,
}

/// The items in work, as a window that moves over the list.
#[derive(Debug)]
struct Line<T> {
    /// Results of the items `front..claimed`, empty while a worker is at it.
    window: VecDeque<Option<Result<T, Error>>>,
    /// Position of the item that is handed out next.
    front: usize,
    /// End of the list, or of what is still wanted of it.
    end: usize,
}

impl<T> Line<T> {
    fn claimed(&self) -> usize {
        self.front + self.window.len()
    }
}

impl<T: Send + 'static> Loader<T> {
    /// Starts `workers` threads that apply `prepare` to each of `items`, at most `capacity` items
    /// ahead of the consumer.
    ///
    /// # Panics
    ///
    /// If `workers` or `capacity` is 0, or the operating system refuses a thread.
    pub fn new<I, F>(items: Vec<I>, workers: usize, capacity: usize, prepare: F) -> Self
    where
        I: Send + Sync + 'static,
        F: Fn(&I) -> Result<T, Error> + Send + Sync + 'static,
    {
        Self::start(items, workers, capacity, false, prepare)
    }

    /// The same, but an item that cannot be prepared is left out and listed in
    /// [`skipped`](Self::skipped). A panic is a bug and still ends the iteration.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn skipping<I, F>(items: Vec<I>, workers: usize, capacity: usize, prepare: F) -> Self
    where
        I: Send + Sync + 'static,
        F: Fn(&I) -> Result<T, Error> + Send + Sync + 'static,
    {
        Self::start(items, workers, capacity, true, prepare)
    }

    fn start<I, F>(items: Vec<I>, workers: usize, capacity: usize, skips: bool, prepare: F) -> Self
    where
        I: Send + Sync + 'static,
        F: Fn(&I) -> Result<T, Error> + Send + Sync + 'static,
    {
        assert!(
            workers > 0 && capacity > 0,
            "{workers} workers, capacity {capacity}"
        );
        let line = Line {
            window: VecDeque::with_capacity(capacity),
            front: 0,
            end: items.len(),
        };
        let shared = Arc::new(Shared {
            line: Mutex::new(line),
            front_is_done: Condvar::new(),
            room: Condvar::new(),
            capacity,
            skips,
        });
        let work = Arc::new((items, prepare));
        let start = |_| {
            let (shared, work) = (shared.clone(), work.clone());
            thread::spawn(move || shared.prepare_items(&work.0, &work.1))
        };
        let workers = (0..workers).map(start).collect();
        Self {
            shared,
            workers,
            started: Instant::now(),
            waited: Duration::ZERO,
            skipped: Vec::new(),
        }
    }
}

impl<T> Loader<T> {
    /// The items that were left out so far, in order; none unless the loader is
    /// [`skipping`](Self::skipping).
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How the loader has kept up so far.
    pub fn stats(&self) -> LoaderStats {
        LoaderStats {
            items: (self.shared.lock().front - self.skipped.len()) as u64,
            seconds: self.started.elapsed().as_secs_f64(),
            waited_seconds: self.waited.as_secs_f64(),
        }
    }
}

impl<T> Iterator for Loader<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let asked = Instant::now();
        let taken = loop {
            match self.shared.take_front() {
                Some((item, Err(error))) if self.shared.may_skip(&error) => {
                    self.skipped.push(Skipped { item, error });
                }
                taken => break taken,
            }
        };
        self.waited += asked.elapsed();
        taken.map(|(_, result)| result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let line = self.shared.lock();
        (0, Some(line.end - line.front))
    }
}

impl<T> Drop for Loader<T> {
    fn drop(&mut self) {
        self.shared.stop();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its items, so there is nothing to learn from it.
            let _ = worker.join();
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Line<T>> {
        self.line
            .lock()
            .expect("no foreign code runs under the lock")
    }

    /// Whether an item with this error is left out, and the next one wanted.
    fn may_skip(&self, error: &Error) -> bool {
        self.skips && !matches!(error, Error::WorkerPanicked { .. })
    }

    /// The consumer's side: waits for the item at the front, and tells its place in the list.
    fn take_front(&self) -> Option<(usize, Result<T, Error>)> {
        let waiting = |line: &mut Line<T>| line.front < line.end && !line.front_is_done();
        let mut line = self
            .front_is_done
            .wait_while(self.lock(), waiting)
            .expect("as in lock");
        if line.front == line.end {
            return None;
        }
        let result = line.window.pop_front().flatten();
        let at = line.front;
        line.front += 1;
        if let Some(Err(error)) = &result
            && !self.may_skip(error)
        {
            line.end = line.front;
        }
        drop(line);
        self.room.notify_all();
        result.map(|result| (at, result))
    }

    /// A worker's side: prepares items until there are none left.
    fn prepare_items<I>(&self, items: &[I], prepare: &impl Fn(&I) -> Result<T, Error>) {
        while let Some(at) = self.claim() {
            let result = catch_unwind(AssertUnwindSafe(|| prepare(&items[at])));
            self.put(
                at,
                result.unwrap_or_else(|panic| Err(worker_panicked(at, &*panic))),
            );
        }
    }

    /// Waits for room and takes the next item of the list; `None` when none is wanted.
    fn claim(&self) -> Option<usize> {
        let full =
            |line: &mut Line<T>| line.claimed() < line.end && line.window.len() == self.capacity;
        let mut line = self.room.wait_while(self.lock(), full).expect("as in lock");
        let at = line.claimed();
        if at >= line.end {
            return None;
        }
        line.window.push_back(None);
        Some(at)
    }

    /// Stores a result, unless it is no longer wanted. Nothing behind an error is wanted.
    fn put(&self, at: usize, result: Result<T, Error>) {
        let mut line = self.lock();
        if at >= line.end {
            drop(line); // before `result`, whose destructor is foreign code
            return;
        }
        if let Err(error) = &result
            && !self.may_skip(error)
        {
            line.end = at + 1;
        }
        let front = line.front;
        line.window[at - front] = Some(result);
        drop(line);
        if at == front {
            self.front_is_done.notify_one();
        }
        self.room.notify_all();
    }

    fn stop(&self) {
        let mut line = self.lock();
        line.end = line.front;
        drop(line);
        self.room.notify_all();
    }
}

impl<T> Line<T> {
    fn front_is_done(&self) -> bool {
        self.window.front().is_some_and(Option::is_some)
    }
}

fn worker_panicked(item: usize, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::WorkerPanicked {
        item,
        message: text.unwrap_or("no message").to_owned(),
    }
}
