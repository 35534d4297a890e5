//! Trainings in a process of their own, which is killed or finds no room on the disk.

use std::{
    env,
    process::{Child, Command, Stdio},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use imagenet_s::views::{Purpose, Stream};

use super::{precision::SMALL_VIEWS, *};

/// Names the run directory to a child process.
const CHILD: &str = "PASS_TRAIN_TRAINING";

/// Brings it further settings, one a line.
const MORE: &str = "PASS_TRAIN_MORE";

/// Kills in all; `PASS_TRAIN_KILLS` asks for more.
const KILLS: usize = 6;

/// Fifteen iterations, with a checkpoint after every other one.
const SETTINGS: [&str; 4] = [
    "pretrain.epochs=5",
    "checkpoints.iterations=2",
    "health.every_iterations=3",
    "pretrain.accumulate=2",
];

#[test]
#[ignore = "a child process of the tests beside it"]
fn a_training_in_a_child_process() {
    let root = env::var_os(CHILD).expect(CHILD);
    let root = Path::new(&root);
    let more = env::var(MORE).unwrap_or_default();
    let settings: Vec<&str> = SETTINGS.into_iter().chain(more.lines()).collect();
    let context = open(root, &settings);
    let mut learner = pretraining(&context);
    train_on_views(&context, &mut learner).unwrap_or_else(|error| panic!("{error}"));
    state_of(&mut learner, root);
}

/// This test program, told to run the test above, through a shell that first does `before`.
fn spawn(root: &Path, before: &str) -> Child {
    spawn_with("", root, before)
}

/// The same with more settings.
fn spawn_with(more: &str, root: &Path, before: &str) -> Child {
    fs::create_dir_all(root).unwrap();
    let said = fs::File::create(root.with_extension("stderr")).unwrap();
    let module = module_path!().split_once("::").unwrap().1;
    Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap())
        .arg("--exact")
        .arg(format!("{module}::a_training_in_a_child_process"))
        .args(["--ignored", "--nocapture"])
        .env(CHILD, root)
        .env(MORE, more)
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .unwrap()
}

fn said(root: &Path) -> String {
    fs::read_to_string(root.with_extension("stderr")).unwrap()
}

#[track_caller]
fn finish(mut child: Child, root: &Path) {
    assert!(child.wait().unwrap().success(), "{}", said(root));
}

#[track_caller]
fn assert_same_end(a: &Path, b: &Path) {
    assert_same_state(&files_of(&a.join("state")), &files_of(&b.join("state")));
    assert_eq!(log_of(a), log_of(b));
    let lines = |root: &Path| {
        let log = fs::read_to_string(root.join("log.jsonl")).unwrap();
        log.lines().count()
    };
    assert_eq!(lines(a), lines(b), "an iteration is told twice");
}

#[test]
fn a_training_killed_at_random_moments_ends_where_the_uninterrupted_one_does() {
    let kills = env::var("PASS_TRAIN_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    kill_and_compare("", kills);
}

/// With a loss scale beside all the rest.
#[test]
fn a_training_in_float16_that_is_killed_ends_where_the_uninterrupted_one_does() {
    kill_and_compare(&format!("precision=float16\n{SMALL_VIEWS}"), 2);
}

fn kill_and_compare(more: &str, all: usize) {
    let spawn = |root: &Path| spawn_with(more, root, "");
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let started = Instant::now();
    finish(spawn(&whole), &whole);
    let whole_time = started.elapsed().as_secs_f64();

    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let chosen = env::var("PASS_TRAIN_KILL_SEED").map(|seed| seed.parse().unwrap());
    let seed: u64 = chosen.unwrap_or_else(|_| now().as_nanos() as u64);
    println!("PASS_TRAIN_KILL_SEED={seed}; uninterrupted {whole_time:.1} s");
    let mut moments = Stream::new(seed, 0, 0, Purpose::Shuffle);
    let (mut kills, mut runs, mut points) = (0, 0, Vec::new());
    while kills < all {
        let root = folder.path().join(format!("killed{runs}"));
        while kills < all && !root.join("state/queue.safetensors").exists() {
            let mut child = spawn(&root);
            let moment = moments.uniform(0.0, 0.6 * whole_time);
            thread::sleep(Duration::from_secs_f64(moment));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap(); // SIGKILL
                kills += 1;
            }
            child.wait().unwrap();
            let log = fs::read_to_string(root.join("log.jsonl"));
            points.push(log.map_or(0, |log| log.lines().count()));
        }
        finish(spawn(&root), &root);
        assert_same_end(&whole, &root);
        runs += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{kills} kills in {runs} runs, {seconds:.1} s, after so many iterations: {points:?}");
}

/// A limit on the size of files stands for a full disk: writing fails half-way, in the same calls.
#[test]
#[cfg(unix)]
fn without_room_for_a_checkpoint_a_training_stops_and_the_earlier_ones_carry_it_on() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, full) = (folder.path().join("whole"), folder.path().join("full"));
    finish(spawn(&whole, ""), &whole);

    let mut child = spawn(&full, "");
    let first = full.join("pretrain/checkpoint-000000002");
    while !first.exists() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let part = full.join("pretrain/checkpoint.part");
    let checkpoints = || {
        let entries = fs::read_dir(full.join("pretrain")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = paths.filter(|path| *path != part).collect();
        paths.sort();
        paths
    };
    let kept = checkpoints();
    let newest = kept.last().unwrap().display().to_string();
    let limited = spawn(&full, "trap '' XFSZ; ulimit -f 16;").wait().unwrap();
    let said = said(&full);
    assert!(!limited.success(), "{said}");
    for fragment in ["was not written", "net.safetensors", &newest, "is kept"] {
        assert!(said.contains(fragment), "no {fragment:?} in {said}");
    }
    assert_eq!(checkpoints(), kept);
    assert!(!part.exists(), "half a checkpoint takes up room");
    finish(spawn(&full, ""), &full);
    assert_same_end(&whole, &full);
}
