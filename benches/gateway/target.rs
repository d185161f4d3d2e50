//! What is measured: no gateway at all, nginx, Merit, and any other by address.

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::arguments::Other;
use crate::load::{self, Call};
use crate::process::{self, Running};
use crate::traffic::{self, MODEL, Shape};

/// How long a gateway has to give its first good answer.
const START: Duration = Duration::from_secs(30);

const NGINX: &str = include_str!("nginx.conf.in");

/// Somewhere requests can be sent, and the processes that serve them.
#[derive(Debug)]
pub(crate) struct Target {
    /// What it is called in the table.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    key: Option<String>,
    process: Option<Running>,
    outside: Option<u32>,
}

/// Where targets find what they need.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The loopback provider.
    pub upstream: SocketAddr,
    /// The gateways' core.
    pub core: usize,
    /// A folder for configurations and logs, gone when the bench ends.
    pub folder: &'a Path,
    /// Merit's binary.
    pub merit: PathBuf,
}

impl Target {
    /// The provider itself: what the bench costs without a gateway.
    pub(crate) fn direct(place: &Place<'_>) -> Self {
        Target { name: "direct".into(), address: place.upstream, key: None, process: None, outside: None }
    }

    /// nginx as a plain reverse proxy.
    pub(crate) fn nginx(place: &Place<'_>) -> io::Result<Self> {
        let address = free_address()?;
        let config = place.folder.join("nginx.conf");
        let text = NGINX
            .replace("@LISTEN@", &address.to_string())
            .replace("@UPSTREAM@", &place.upstream.to_string())
            .replace("@FOLDER@", &place.folder.to_string_lossy());
        fs::write(&config, text)?;
        let arguments = ["-c".to_owned(), config.to_string_lossy().into_owned()];
        let program =
            ["/usr/sbin/nginx", "/usr/bin/nginx"].map(Path::new).into_iter().find(|path| path.exists());
        let program = program.unwrap_or(Path::new("nginx"));
        let process = Running::start(program, &arguments, place.core, &place.folder.join("nginx.out"))?;
        Ok(Target { name: "nginx".into(), address, key: None, process: Some(process), outside: None })
    }

    /// Merit with three competing endpoints; with `accounts` also with callers' keys
    /// and whatever is kept about them.
    pub(crate) fn merit(place: &Place<'_>, name: &str, accounts: bool) -> io::Result<Self> {
        let folder = place.folder.join(name);
        fs::create_dir_all(&folder)?;
        let address = free_address()?;
        let config = folder.join("merit.toml");
        fs::write(&config, merit_config(place, address, &folder, None)?)?;
        let key = if accounts { Some(create_key(&place.merit, &config)?) } else { None };
        if let Some((_, digest)) = &key {
            fs::write(&config, merit_config(place, address, &folder, Some(digest))?)?;
        }
        let arguments = ["serve".to_owned(), "--config".into(), config.to_string_lossy().into_owned()];
        let process = Running::start(&place.merit, &arguments, place.core, &folder.join("out"))?;
        let key = key.map(|(key, _)| key);
        Ok(Target { name: name.into(), address, key, process: Some(process), outside: None })
    }

    /// A gateway that somebody else has started.
    pub(crate) fn other(other: &Other) -> Self {
        Target {
            name: other.name.clone(),
            address: other.address,
            key: other.key.clone(),
            process: None,
            outside: Some(other.process),
        }
    }

    /// A request of this shape for this target.
    pub(crate) fn call(&self, shape: Shape) -> Call {
        let request = traffic::request(shape, self.address, self.key.as_deref()).into();
        Call { address: self.address, request, stream: shape.stream.is_some() }
    }

    /// The processes whose time and memory count: the bench's own where there is
    /// no gateway.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let id = self.process.as_ref().map(Running::id).or(self.outside);
        process::family(id.unwrap_or_else(std::process::id))
    }

    /// Whether there is a gateway at all.
    pub(crate) fn is_gateway(&self) -> bool {
        self.process.is_some() || self.outside.is_some()
    }

    /// Waits for the first good answer.
    pub(crate) async fn ready(&mut self) -> io::Result<()> {
        let call = self.call(Shape::plain(300));
        let deadline = Instant::now() + START;
        loop {
            let Err(error) = load::ask_once(&call).await else { return Ok(()) };
            let ended = self.process.as_mut().is_some_and(Running::has_ended);
            if ended || Instant::now() > deadline {
                let what = if ended { "has ended" } else { "does not answer" };
                let words = self.process.as_ref().map(Running::last_words).unwrap_or_default();
                return Err(io::Error::other(format!("{} {what}: {error}; {words}", self.name)));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn merit_config(
    place: &Place<'_>,
    listen: SocketAddr,
    folder: &Path,
    digest: Option<&str>,
) -> io::Result<String> {
    let admin = free_address()?;
    let folder = folder.display();
    let mode = if digest.is_some() { "keys" } else { "none" };
    let mut text = format!(
        "[server]\nlisten = \"{listen}\"\nadmin = \"{admin}\"\n\n\
         [store]\nurl = \"sqlite:{folder}/merit.db\"\n\n\
         [log]\nfile = \"{folder}/merit.log\"\n\n\
         [auth]\nmode = \"{mode}\"\npepper = {{ file = \"{folder}/pepper\" }}\n"
    );
    if let Some(digest) = digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n[[auth.keys]]\nname = \"bench\"\ndigest = \"{digest}\"\n");
    }
    // Near in price and quality, so that all three stay in the race.
    for (name, input, output) in [("north", 0.15, 0.60), ("east", 0.16, 0.58), ("west", 0.14, 0.62)] {
        let _ = write!(
            text,
            "\n[providers.{name}]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\nauth = \"bearer\"\n\
             key = \"not-a-secret\"\n\n[[providers.{name}.models]]\nname = \"{MODEL}\"\n\
             price = {{ input = {input}, cached_input = 0.07, output = {output} }}\ncontext = 128000\nquality = 0.7\n",
            place.upstream
        );
    }
    Ok(text)
}

/// Has Merit make a key and finds key and digest in what it prints.
fn create_key(merit: &Path, config: &Path) -> io::Result<(String, String)> {
    let output = Command::new(merit).args(["keys", "create", "bench", "--config"]).arg(config).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = || text.split(|c| !is_word(c));
    let key = words().find(|word| word.starts_with("sk-merit-"));
    let digest = words().find(|word| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit()));
    match (key, digest) {
        (Some(key), Some(digest)) => Ok((key.to_owned(), digest.to_owned())),
        _ => Err(io::Error::other(format!(
            "merit keys create printed no key and digest: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
