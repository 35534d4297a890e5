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
/// list, is handed out in its turn and ends the iteration; a panic in the preparation becomes such an
/// error. Dropping the loader stops the workers after the item each is at, and waits for them.
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

#[derive(Debug)]
struct Shared<T> {
    line: Mutex<Line<T>>,
    /// The item at the front of the line was finished.
    front_is_done: Condvar,
    /// There is room in the line, or nothing left to do.
    room: Condvar,
    capacity: usize,
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
        }
    }
}

impl<T> Loader<T> {
    /// How the loader has kept up so far.
    pub fn stats(&self) -> LoaderStats {
        LoaderStats {
            items: self.shared.lock().front as u64,
            seconds: self.started.elapsed().as_secs_f64(),
            waited_seconds: self.waited.as_secs_f64(),
        }
    }
}

impl<T> Iterator for Loader<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let asked = Instant::now();
        let taken = self.shared.take_front();
        self.waited += asked.elapsed();
        taken
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

    /// The consumer's side: waits for the item at the front.
    fn take_front(&self) -> Option<Result<T, Error>> {
        let waiting = |line: &mut Line<T>| line.front < line.end && !line.front_is_done();
        let mut line = self
            .front_is_done
            .wait_while(self.lock(), waiting)
            .expect("as in lock");
        if line.front == line.end {
            return None;
        }
        let result = line.window.pop_front().flatten();
        line.front += 1;
        if let Some(Err(_)) = &result {
            line.end = line.front;
        }
        drop(line);
        self.room.notify_all();
        result
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
        if result.is_err() {
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
