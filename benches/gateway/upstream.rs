//! The provider behind every target: the same fixed answers, at the least cost.
//!
//! It runs in a thread of its own, on the load generator's core, so that the
//! gateway under test has its core to itself.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::traffic::{self, Pace};
use crate::wire::Wire;

/// How much of a request's beginning and end is searched for the mark of a pace, in bytes.
/// Gateways may reorder a body's members, but hardly move them into the prompt.
const EDGE: usize = 1024;

const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

struct Answers {
    plain: Vec<u8>,
    stream: Vec<Vec<u8>>,
}

/// Starts the provider on loopback (port 0: any) and says where it is. It ends
/// with the process.
pub(crate) fn start(port: u16) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("upstream".into())
        .spawn(move || LocalSet::new().block_on(&runtime, accept(listener)))?;
    Ok(address)
}

async fn accept(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let answers = Rc::new(Answers { plain: traffic::plain_answer(), stream: traffic::stream_answer() });
    loop {
        let (stream, _) = listener.accept().await?;
        let answers = Rc::clone(&answers);
        tokio::task::spawn_local(async move { serve(Wire::new(stream)?, &answers).await });
    }
}

async fn serve(mut wire: Wire, answers: &Answers) -> io::Result<()> {
    let mut body = Vec::new();
    while let Some(head) = wire.head().await? {
        body.clear();
        wire.body(head.framing, |piece| body.extend_from_slice(piece)).await?;
        // A gateway that loses bytes must show up as an error, not as a fast one.
        if !body.trim_ascii().ends_with(b"}") {
            wire.write(REFUSAL).await?;
            continue;
        }
        match pace(&body) {
            None => wire.write(&answers.plain).await?,
            Some(pace) => stream(&mut wire, pace, &answers.stream).await?,
        }
    }
    Ok(())
}

async fn stream(wire: &mut Wire, pace: Pace, writes: &[Vec<u8>]) -> io::Result<()> {
    for write in writes {
        wire.write(write).await?;
        match pace {
            // Each event is a write of its own, and other streams have their turn in between.
            Pace::Burst => tokio::task::yield_now().await,
            Pace::Paced | Pace::Slow => tokio::time::sleep(pace.pause()).await,
        }
    }
    Ok(())
}

/// Which stream is asked for, if one is.
fn pace(body: &[u8]) -> Option<Pace> {
    let first = body.get(..EDGE).unwrap_or(body);
    let last = body.get(body.len().saturating_sub(EDGE)..).unwrap_or(body);
    let has =
        |mark: &str| [first, last].iter().any(|edge| memchr::memmem::find(edge, mark.as_bytes()).is_some());
    Pace::ALL.into_iter().find(|pace| has(pace.mark()))
}
