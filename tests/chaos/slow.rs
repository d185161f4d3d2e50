//! Readers that do not read: their upstreams are slowed down, nothing piles up
//! in the gateway, and in the end they are hung up on.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::caller::{Ask, Line, Sure, words};
use super::stage::{Stage, TIMEOUTS, provider, until};
use crate::support::Fallible;

const READERS: usize = 200;
/// What a stream may hold in the gateway's memory, in KiB.
const MOST_PER_STREAM: u64 = 256;
/// Nothing written for this long means that writing blocks.
const STILL: Duration = Duration::from_millis(500);
const CONFIG: &str = "write_timeout = \"8s\"\nheader_timeout = \"1s\"\n[log]\nlevel = \"warn\"\n";

const OPENING: &str = concat!(
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    "99\r\ndata: {\"id\":\"flood\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",",
    "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n\r\n",
);

/// A stream without an end, as one upstream connection writes it.
#[derive(Debug, Default)]
struct Flow {
    written: AtomicU64,
    closed: AtomicBool,
}

/// An upstream that writes as fast as it is read.
async fn flood(listener: TcpListener, flows: Arc<[Flow]>) {
    for at in 0..flows.len() {
        let Ok((stream, _)) = listener.accept().await else { return };
        let flows = Arc::clone(&flows);
        tokio::spawn(async move {
            if let Some(flow) = flows.get(at) {
                // However it ends, the gateway has let go of it.
                let _ended = pour(stream, flow).await;
                flow.closed.store(true, Relaxed);
            }
        });
    }
}

async fn pour(mut stream: TcpStream, flow: &Flow) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    let event = format!(
        "data: {{\"id\":\"flood\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}},\"finish_reason\":null}}]}}\n\n",
        "x".repeat(2000)
    );
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    stream.write_all(OPENING.as_bytes()).await?;
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        loop {
            writer.write_all(chunk.as_bytes()).await?;
            flow.written.fetch_add(chunk.len() as u64, Relaxed);
        }
    };
    // A reader that leaves is noticed also while writing blocks.
    tokio::select! {
        written = writing => written,
        gone = reader.read(&mut request) => gone.map(drop),
    }
}

fn written(flows: &[Flow]) -> u64 {
    flows.iter().map(|flow| flow.written.load(Relaxed)).sum()
}

/// Resident memory of a process, in KiB.
fn resident(id: u32) -> Sure<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).map_err(words)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().map_err(words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_do_not_read_slow_their_upstreams_down_and_are_hung_up_on() -> Fallible<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1", listener.local_addr()?);
    let flows: Arc<[Flow]> = (0..READERS).map(|_| Flow::default()).collect();
    tokio::spawn(flood(listener, Arc::clone(&flows)));
    let stage = Stage::set(&["unused"], |_| {
        let flood = provider("flood", &url, 1.0, &[("m".to_owned(), "m".to_owned())]);
        format!("{CONFIG}{}", flood.replace(TIMEOUTS, r#"first_content = "60s", idle = "60s""#))
    })
    .await?;
    let before = resident(stage.gateway.id())?;

    let readers = readers(stage.gateway.api).await?;
    let (mut last, mut since) = (0, Instant::now());
    let blocked = || {
        let now = written(&flows);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() >= STILL).then_some(())
    };
    until(Duration::from_secs(20), "the upstreams' writes block", blocked).await?;
    let open = flows.iter().filter(|flow| !flow.closed.load(Relaxed)).count();
    assert_eq!(open, READERS, "somebody was hung up on before it could block");
    let grown = resident(stage.gateway.id())?.saturating_sub(before);
    let most = MOST_PER_STREAM * READERS as u64;
    assert!(grown <= most, "{READERS} streams hold {grown} KiB, more than {most}");

    let closed = || flows.iter().all(|flow| flow.closed.load(Relaxed)).then_some(());
    until(Duration::from_secs(20), "the upstreams are let go of", closed).await?;
    let count = f64::from(u32::try_from(READERS)?);
    stage.until_sum("merit_streams_truncated_total", &[("side", "caller")], count).await?;
    stage.until_sum("merit_requests_total", &[("outcome", "client_cancelled")], count).await?;
    stage.at_rest().await?;
    drop(readers);
    Ok(())
}

/// Callers that have read the head of their answer, and read no further.
async fn readers(port: u16) -> Sure<Vec<Line>> {
    let mut opening = JoinSet::new();
    for number in 0..READERS {
        opening.spawn(async move {
            let mut line = Line::narrow(port).await?;
            line.send(&Ask::of("m", format!("slow-{number}")).streamed(false)).await?;
            line.head().await.map(|_| line)
        });
    }
    opening.join_all().await.into_iter().collect()
}
