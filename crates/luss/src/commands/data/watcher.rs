//! Progress of the work on files, shown as that of the steps of a run.

use std::sync::Mutex;

use imagenet_s::Progress as Message;
use pass_train::{Progress, Verbosity};

/// Work under way.
struct Shown {
    what: &'static str,
    done: u64,
    total: u64,
    progress: Progress,
}

/// Shows the messages of a piece of work, of which each tells of one file more.
pub(super) fn watcher() -> impl Fn(Message) + Sync {
    let shown = Mutex::new(None);
    move |message| {
        let mut shown = shown.lock().expect("showing does not panic");
        let mut of = match shown.take() {
            Some(of) if is_of(&of, message) => of,
            _ => begin(message),
        };
        of.done += 1;
        of.progress.advance(1);
        match of.done == of.total {
            true => of.progress.finish(),
            false => *shown = Some(of),
        }
    }
}

fn is_of(shown: &Shown, message: Message) -> bool {
    (shown.what, shown.total) == (message.what, message.total)
}

fn begin(Message { what, total, .. }: Message) -> Shown {
    Shown {
        what,
        done: 0,
        total,
        progress: Progress::new(Verbosity::Auto, what, total, "files"),
    }
}
