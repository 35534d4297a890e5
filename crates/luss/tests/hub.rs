//! `--backbone hf:OWNER/REPO` against a hub on loopback: what is fetched, what is kept, what is refused.
//!
//! ```text
//! cargo test -p luss -p luss-benches --features luss/hub --test hub
//! ```

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use burn::tensor::Device;
use image::RgbImage;
use pass_model::{backbone::BackboneConfig, export::export_backbone};
use pass_train::sum_of;
use tempfile::TempDir;

/// Of the private repository.
const TOKEN: &str = "hf_stored";
/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A hub with one checkpoint, which some of its repositories give in bad ways.
#[derive(Clone)]
struct Hub {
    weights: Arc<Vec<u8>>,
    sum: String,
    asked: Arc<AtomicUsize>,
}

impl Hub {
    fn start(weights: &Path) -> (Self, String) {
        let hub = Self {
            weights: Arc::new(fs::read(weights).unwrap()),
            sum: sum_of(weights).unwrap(),
            asked: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let own = hub.clone();
        thread::spawn(move || {
            listener
                .incoming()
                .for_each(|stream| own.answer(stream.unwrap()))
        });
        (hub, address)
    }

    /// One request, after which the connection is closed.
    fn answer(&self, mut stream: TcpStream) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let lines: Vec<String> = BufReader::new(stream.try_clone().unwrap())
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let path = lines[0].split(' ').nth(1).unwrap();
        // A client may hang up as soon as it has what it wants.
        let _ = match path.split('/').collect::<Vec<_>>()[..] {
            [
                "",
                "api",
                "models",
                "lab",
                repository,
                "revision",
                "main" | "v1",
            ] if may_read(repository, &lines) => self.list(&mut stream, repository),
            ["", "lab", repository, "resolve", "main" | "v1", file]
                if may_read(repository, &lines)
                    && files(repository).is_some_and(|files| files.contains(&file)) =>
            {
                let range = lines.iter().find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("range: bytes=")
                        .map(str::to_owned)
                });
                self.send(&mut stream, repository, &range.unwrap())
            }
            ["", "api", ..] => write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ),
            _ => write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ),
        };
    }

    fn list(&self, stream: &mut TcpStream, repository: &str) -> std::io::Result<()> {
        let files = files(repository).expect("a repository that may be read");
        let siblings: Vec<String> = files
            .iter()
            .map(|file| format!("{{\"rfilename\": \"{file}\"}}"))
            .collect();
        let body = format!(
            "{{\"sha\": \"c0ffee\", \"siblings\": [{}]}}",
            siblings.join(", ")
        );
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// `range`: `FIRST-` or `FIRST-LAST`.
    fn send(&self, stream: &mut TcpStream, repository: &str, range: &str) -> std::io::Result<()> {
        let size = self.weights.len();
        let (first, last) = range.split_once('-').unwrap();
        let first: usize = first.parse().unwrap();
        let last = last.parse().unwrap_or(size - 1);
        let sum = match repository {
            "damaged" => "0".repeat(64),
            _ => self.sum.clone(),
        };
        let length = last + 1 - first;
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {first}-{last}/{size}\r\n\
             ETag: \"{sum}\"\r\nX-Repo-Commit: c0ffee\r\nConnection: close\r\n\r\n"
        )?;
        let broken_off = repository == "torn" && first == 0 && last > 0;
        let end = if broken_off { size / 2 } else { last + 1 };
        stream.write_all(&self.weights[first..end])
    }
}

/// Whether there is such a repository, and a request shows the token that a private one asks for.
fn may_read(repository: &str, lines: &[String]) -> bool {
    let token = format!("authorization: bearer {TOKEN}");
    let shown = || lines.iter().any(|line| line.to_lowercase() == token);
    files(repository).is_some() && (repository != "private" || shown())
}

fn files(repository: &str) -> Option<&'static [&'static str]> {
    match repository {
        "good" | "damaged" | "torn" | "private" => {
            Some(&["README.md", "pytorch_model.bin", "model.safetensors"])
        }
        "several" => Some(&["a.safetensors", "b.safetensors"]),
        _ => None,
    }
}

struct Place {
    folder: TempDir,
    hub: Hub,
    address: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("w.safetensors");
        let config = BackboneConfig::named("efficientnet_lite0").unwrap();
        export_backbone(&config.init(7, &Device::flex()), &weights).unwrap();
        fs::create_dir(folder.path().join("pictures")).unwrap();
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 99]));
        picture.save(folder.path().join("pictures/a.png")).unwrap();
        let (hub, address) = Hub::start(&weights);
        Self {
            folder,
            hub,
            address,
        }
    }

    fn start(&self, backbone: &str, address: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
        command.args([
            "features", "extract", "--quiet", "--images", "pictures", "--size", "32",
        ]);
        command.args([
            "--layer",
            "pooled",
            "--backbone",
            backbone,
            "--out",
            "f.npy",
        ]);
        command
            .env("HF_HOME", self.folder.path().join("cache"))
            .env("HF_ENDPOINT", address)
            .env("HF_TOKEN", ""); // as if it were not set
        for proxy in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_lowercase());
        }
        command.current_dir(self.folder.path()).output().unwrap()
    }

    /// The features.
    #[track_caller]
    fn extract(&self, backbone: &str, address: &str) -> Vec<u8> {
        let output = self.start(backbone, address);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::read(self.folder.path().join("f.npy")).unwrap()
    }

    /// What is said of a refusal.
    #[track_caller]
    fn refusal(&self, backbone: &str, address: &str) -> String {
        let output = self.start(backbone, address);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(backbone), "{said}");
        assert!(!self.folder.path().join("f.npy").exists());
        said
    }

    /// Whole files in the cache.
    fn blobs(&self, repository: &str) -> Vec<PathBuf> {
        let folder = self
            .folder
            .path()
            .join(format!("cache/hub/models--lab--{repository}/blobs"));
        let entries = fs::read_dir(folder).into_iter().flatten();
        let whole = |path: &PathBuf| path.extension().is_none();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(whole)
            .collect()
    }
}

#[test]
fn a_checkpoint_is_fetched_once_and_found_without_a_network() {
    let place = Place::new();
    let expected = place.extract("efficientnet_lite0=w.safetensors", NOWHERE);
    fs::remove_file(place.folder.path().join("f.npy")).unwrap();
    fs::remove_file(place.folder.path().join("f.json")).unwrap();
    let found = place.extract("efficientnet_lite0=hf:lab/good", &place.address);
    assert!(found == expected);
    let asked = place.hub.asked.load(Ordering::SeqCst);
    for backbone in [
        "hf:lab/good",
        "hf:lab/good/model.safetensors",
        "hf:lab/good@main",
    ] {
        assert!(place.extract(backbone, NOWHERE) == expected, "{backbone}");
    }
    // A hub that could be asked is not, where a named file is there.
    let named = place.extract("hf:lab/good/model.safetensors", &place.address);
    assert!(named == expected);
    assert_eq!(place.hub.asked.load(Ordering::SeqCst), asked);
    assert!(place.extract("hf:lab/good/model.safetensors@v1", &place.address) == expected);
}

/// The one file in the cache may be one that was named.
#[test]
fn without_a_network_no_other_file_is_taken_than_with_one() {
    let place = Place::new();
    place.extract("hf:lab/several/b.safetensors", &place.address);
    for name in ["f.npy", "f.json"] {
        fs::remove_file(place.folder.path().join(name)).unwrap();
    }
    let said = place.refusal("hf:lab/several@main", NOWHERE);
    assert!(
        said.contains("cannot be reached") && said.contains("name a file that is in the cache"),
        "{said}"
    );
    place.extract("hf:lab/several/b.safetensors", NOWHERE);
}

#[test]
fn a_private_repository_is_read_with_the_stored_token() {
    let place = Place::new();
    let said = place.refusal("hf:lab/private@main", &place.address);
    assert!(said.contains("HF_TOKEN"), "{said}");
    fs::create_dir_all(place.folder.path().join("cache")).unwrap();
    fs::write(place.folder.path().join("cache/token"), TOKEN).unwrap();
    place.extract("hf:lab/private", &place.address);
}

#[test]
fn a_download_of_another_process_is_told() {
    let place = Place::new();
    let blobs = place
        .folder
        .path()
        .join("cache/hub/models--lab--good/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let held = fs::File::create(blobs.join(format!("{}.lock", place.hub.sum))).unwrap();
    held.lock().unwrap();
    let said = place.refusal("hf:lab/good@main", &place.address);
    assert!(said.contains("another process downloads it"), "{said}");
    drop(held);
    place.extract("hf:lab/good", &place.address);
}

#[test]
fn what_the_hub_does_not_have_is_told() {
    let place = Place::new();
    let said = place.refusal("hf:lab/good/other.pth@main", &place.address);
    assert!(
        said.contains("no file other.pth") && said.contains("pytorch_model.bin"),
        "{said}"
    );
    let said = place.refusal("hf:lab/nothing@main", &place.address);
    assert!(
        said.contains("HF_TOKEN") && said.contains("lab/nothing"),
        "{said}"
    );
    let said = place.refusal("hf:lab/good@v2", &place.address);
    assert!(said.contains("revision v2"), "{said}");
    let said = place.refusal("hf:lab/several@main", &place.address);
    assert!(said.contains("a.safetensors, b.safetensors"), "{said}");
    let said = place.refusal("hf:lab/good@main", NOWHERE);
    assert!(said.contains("cannot be reached"), "{said}");
}

#[test]
fn a_download_that_broke_off_goes_on() {
    let place = Place::new();
    let said = place.refusal("hf:lab/torn@main", &place.address);
    assert!(
        said.contains("broke off") && said.contains("start again"),
        "{said}"
    );
    assert_eq!(place.blobs("torn").len(), 0);
    place.extract("hf:lab/torn@main", &place.address);
    let [blob] = &place.blobs("torn")[..] else {
        panic!("one file")
    };
    assert!(fs::read(blob).unwrap() == *place.hub.weights);
}

#[test]
fn a_file_that_is_not_what_the_hub_promised_is_removed() {
    let place = Place::new();
    for _ in 0..2 {
        let said = place.refusal("hf:lab/damaged@main", &place.address);
        assert!(
            said.contains("SHA-256") && said.contains(&place.hub.sum),
            "{said}"
        );
        assert_eq!(place.blobs("damaged").len(), 0);
    }
}
