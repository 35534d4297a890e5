//! Lines and the bar, from the first to the last.

use super::*;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn state(position: u64, resumed_at: u64) -> State {
    let mut state = State::new("pretrain".into(), "iterations", 700, resumed_at);
    state.position = position;
    state
}

#[test]
fn a_line_names_position_rate_time_left_and_message() {
    let mut state = state(100, 0);
    state.message = "loss 3.21".into();
    let line = state.line(Duration::from_secs(20));
    assert_eq!(
        line,
        "pretrain: 100/700 iterations, 5.00 iterations/s, 2 min 00 s left, loss 3.21"
    );
}

#[test]
fn a_training_counts_its_epochs_from_one() {
    let line_at = |position| {
        let mut state = state(position, 0);
        (state.unit, state.epochs) = ("images", Some(7));
        state.line(Duration::from_secs(20))
    };
    assert_eq!(
        line_at(100),
        "pretrain: epoch 2/7, 100/700 images, 5.00 images/s, 2 min 00 s left"
    );
    assert!(line_at(0).starts_with("pretrain: epoch 1/7, 0/700"));
    assert!(line_at(700).starts_with("pretrain: epoch 7/7, 700/700"));
}

#[test]
fn a_resumed_step_counts_only_its_own_work_in_the_rate() {
    let state = state(500, 400);
    assert_eq!(
        state.first_line(),
        "pretrain: 700 iterations, resumed at 400"
    );
    let line = state.line(Duration::from_secs(50));
    assert_eq!(
        line,
        "pretrain: 500/700 iterations, 2.00 iterations/s, 1 min 40 s left"
    );
}

#[test]
fn before_the_first_unit_there_is_no_rate() {
    assert_eq!(
        state(0, 0).line(Duration::from_secs(9)),
        "pretrain: 0/700 iterations"
    );
}

#[test]
fn quiet_prints_the_start_and_the_end_only() {
    let sink = Sink::default();
    let output = Output::Ends {
        sink: Box::new(sink.clone()),
    };
    let mut progress = Progress::begin(state(0, 0), output);
    (0..700).for_each(|_| progress.advance(1));
    progress.finish();
    let lines = sink.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].starts_with("pretrain: done, 700/700 iterations in"),
        "{lines:?}"
    );
}

#[test]
fn fast_work_prints_no_line_for_each_unit() {
    let sink = Sink::default();
    let mut progress = Progress::begin(state(0, 0), Output::lines(Box::new(sink.clone())));
    (0..700).for_each(|_| progress.advance(1));
    progress.finish();
    assert_eq!(sink.lines().len(), 2);
}

#[test]
fn a_step_that_is_dropped_says_how_far_it_came() {
    let sink = Sink::default();
    let mut progress = Progress::begin(state(0, 0), Output::lines(Box::new(sink.clone())));
    progress.advance(3);
    drop(progress);
    assert!(sink.lines()[1].starts_with("pretrain: stopped, 3/700 iterations in"));
}

/// A terminal that keeps all that is drawn.
#[derive(Debug, Default)]
struct Screen(Arc<Mutex<String>>);

impl Screen {
    fn draw(&self, text: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
}

impl indicatif::TermLike for Screen {
    fn width(&self) -> u16 {
        160
    }

    fn move_cursor_up(&self, _lines: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _lines: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _columns: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _columns: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> std::io::Result<()> {
        self.draw(text)
    }

    fn write_str(&self, text: &str) -> std::io::Result<()> {
        self.draw(text)
    }

    fn clear_line(&self) -> std::io::Result<()> {
        self.draw("\n")
    }

    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_bar_of_a_resumed_step_counts_only_its_own_work_from_its_first_line_on() {
    let bar = bar(&state(400, 400));
    let drawn = Arc::new(Mutex::new(String::new()));
    let screen = Screen(drawn.clone());
    bar.set_draw_target(indicatif::ProgressDrawTarget::term_like(Box::new(screen)));
    let bar = bar.with_elapsed(Duration::from_secs(100));
    bar.force_draw();
    bar.inc(100);
    bar.force_draw();
    let drawn = drawn.lock().unwrap();
    assert!(!drawn.contains("4.00 iterations/s"), "{drawn}");
    let line = "500/700 iterations, 1.00 iterations/s, 3 min 20 s left";
    assert!(drawn.contains(line), "{drawn}");
}

#[test]
fn times_are_short_and_readable() {
    assert_eq!(clock(7.4), "7 s");
    assert_eq!(clock(65.0), "1 min 05 s");
    assert_eq!(clock(7380.0), "2 h 03 min");
}
