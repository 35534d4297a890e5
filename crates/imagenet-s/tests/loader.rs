//! The loader: order, bounds, and every way to end.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use imagenet_s::{Error, Loader, OtherFiles};

fn failure(at: usize) -> Error {
    Error::NoPictures {
        path: PathBuf::from(at.to_string()),
        others: OtherFiles::default(),
    }
}

/// Uneven work, so that later items finish before earlier ones.
fn dawdle(at: usize) {
    if at.is_multiple_of(3) {
        thread::sleep(Duration::from_micros(200));
    }
}

/// What came out before the end, and the path in the error that ended it, if one did.
fn drained(loader: Loader<usize>) -> (Vec<usize>, Option<String>) {
    let mut items = Vec::new();
    for item in loader {
        match item {
            Ok(item) => items.push(item),
            Err(Error::NoPictures { path, .. }) => {
                return (items, Some(path.display().to_string()));
            }
            Err(other) => return (items, Some(other.to_string())),
        }
    }
    (items, None)
}

#[test]
fn results_come_in_order_for_any_number_of_workers() {
    for (workers, capacity) in [(1, 1), (3, 1), (2, 5), (7, 3), (4, 100)] {
        let loader = Loader::new((0..41).collect(), workers, capacity, |&at| {
            dawdle(at);
            Ok(10 * at)
        });
        let expected = (0..41).map(|at| 10 * at).collect();
        assert_eq!(
            drained(loader),
            (expected, None),
            "{workers} workers, {capacity} ahead"
        );
    }
}

#[test]
fn an_empty_list_ends_at_once() {
    let mut loader = Loader::new(Vec::<usize>::new(), 3, 2, |&at| Ok(at));
    assert!(loader.next().is_none());
    assert!(loader.next().is_none());
}

/// An item that counts how many of its kind are alive.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn no_more_than_the_capacity_is_prepared_ahead() {
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, noted) = (alive.clone(), most.clone());
    let loader = Loader::new((0..60).collect(), 4, 5, move |_: &usize| {
        noted.fetch_max(1 + counted.fetch_add(1, SeqCst), SeqCst);
        Ok(Alive(counted.clone()))
    });
    for item in loader {
        thread::sleep(Duration::from_micros(100)); // a slow consumer, so that the line fills
        drop(item);
    }
    // The consumer holds one item while the line refills behind it.
    assert!((2..=6).contains(&most.load(SeqCst)), "{most:?} at a time");
    assert_eq!(alive.load(SeqCst), 0);
}

#[test]
fn the_first_error_comes_in_its_turn_and_is_the_last_item() {
    let mut loader = Loader::new((0..30).collect(), 3, 8, |&at: &usize| {
        dawdle(at);
        if at == 7 || at == 9 {
            Err(failure(at))
        } else {
            Ok(at)
        }
    });
    let items: Vec<usize> = loader.by_ref().map_while(Result::ok).collect();
    assert_eq!(items, [0, 1, 2, 3, 4, 5, 6]);
    assert!(loader.next().is_none());
}

#[test]
fn a_later_error_that_is_found_sooner_does_not_overtake() {
    let loader = Loader::new((0..30).collect(), 4, 8, |&at: &usize| {
        thread::sleep(Duration::from_micros(if at == 2 { 2000 } else { 0 }));
        if at == 2 || at == 4 {
            Err(failure(at))
        } else {
            Ok(at)
        }
    });
    assert_eq!(drained(loader), (vec![0, 1], Some("2".to_owned())));
}

#[test]
fn nothing_behind_an_error_is_begun() {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let loader = Loader::new((0..500).collect(), 2, 4, move |&at: &usize| {
        counted.fetch_add(1, SeqCst);
        Err::<usize, _>(failure(at))
    });
    assert_eq!(drained(loader), (vec![], Some("0".to_owned())));
    assert!(begun.load(SeqCst) <= 4, "{begun:?} items begun");
}

#[test]
fn a_panic_becomes_an_error_with_its_message() {
    let loader = Loader::new((0..9).collect(), 3, 4, |&at: &usize| {
        assert!(at != 5, "item {at} is cursed");
        Ok(at)
    });
    let (items, error) = drained(loader);
    assert_eq!(items, [0, 1, 2, 3, 4]);
    let error = error.unwrap();
    assert!(
        error.contains("item 5 panicked: item 5 is cursed"),
        "{error}"
    );
}

#[test]
fn a_panic_in_every_worker_leaves_nobody_waiting() {
    let loader = Loader::new(
        (0..9).collect(),
        3,
        4,
        |_: &usize| -> Result<usize, Error> { panic!("no") },
    );
    assert!(drained(loader).1.unwrap().contains("item 0 panicked: no"));
}

#[test]
fn dropping_the_loader_stops_and_joins_the_workers() {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let mut loader = Loader::new((0..1000).collect(), 3, 4, move |&at: &usize| {
        counted.fetch_add(1, SeqCst);
        Ok(at)
    });
    assert_eq!(loader.next().unwrap().unwrap(), 0);
    drop(loader);
    // The closure owns a count, so one owner means that all threads are gone.
    assert_eq!(Arc::strong_count(&begun), 1);
    assert!(begun.load(SeqCst) <= 5, "{begun:?} items begun");
}

#[test]
fn a_loader_may_be_dropped_while_its_workers_are_at_an_item() {
    let (begin, began) = mpsc::channel();
    let loader = Loader::new((0..9).collect(), 2, 2, move |&at: &usize| {
        begin.send(at).unwrap_or_default();
        thread::sleep(Duration::from_millis(1));
        Ok(at)
    });
    began.recv().unwrap();
    drop(loader);
    assert!(began.iter().count() <= 2, "nobody can send after the drop");
}

#[test]
fn the_statistics_tell_a_slow_loader_from_a_slow_consumer() {
    let mut slow = Loader::new((0..3).collect(), 1, 1, |&at: &usize| {
        thread::sleep(Duration::from_millis(2));
        Ok(at)
    });
    assert_eq!(slow.by_ref().count(), 3);
    let stats = slow.stats();
    assert_eq!(stats.items, 3);
    assert!(stats.waited_seconds >= 0.002, "{stats:?}");
    assert!(stats.waited_seconds <= stats.seconds, "{stats:?}");
    assert!(stats.seconds >= 0.006, "{stats:?}");
}

#[test]
#[should_panic(expected = "0 workers")]
fn a_loader_without_workers_is_a_bug() {
    let _ = Loader::new(vec![1], 0, 1, |&at: &usize| Ok(at));
}
