//! The bytes of one connection of the program's, on their way to and from the relay: they can be held, garbled, or
//! end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// As they come.
    Free,
    /// Not at all; the connection stays open.
    Frozen,
    /// What goes to the program is changed.
    Garbled,
    /// The connection is closed.
    Ended,
    /// The connection is reset (RST).
    Reset,
}

/// As much as a connection may keep.
const BUFFER: usize = 64 * 1024;

/// A connection that was accepted.
pub struct Socket {
    stream: Option<TcpStream>,
    control: Control,
}

/// Says how the bytes of a connection go.
#[derive(Clone)]
pub struct Control {
    flow: watch::Sender<Flow>,
    was_frozen: Arc<AtomicBool>,
}

impl Socket {
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream: Some(stream), control: Control::new() })
    }

    pub fn flow(&self) -> Control {
        self.control.clone()
    }

    /// Resets it at once.
    pub fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            // Without it the connection would be closed in good order.
            let _ = stream.set_zero_linger();
        }
    }

    /// Carries its bytes from now on: what is returned is the relay's end.
    pub fn start(mut self) -> DuplexStream {
        let (ours, theirs) = duplex(BUFFER);
        if let Some(stream) = self.stream.take() {
            tokio::spawn(carry_both(stream, theirs, self.control.clone()));
        }
        ours
    }
}

impl Control {
    /// Of a connection that is to be.
    pub fn new() -> Self {
        Self { flow: watch::Sender::new(Flow::Free), was_frozen: Arc::default() }
    }

    /// From now on.
    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// Whether it ever was.
    pub fn was_frozen(&self) -> bool {
        self.was_frozen.load(Ordering::Relaxed)
    }

    /// Until then, or for good.
    pub fn freeze(&self, until: Option<Instant>) {
        self.was_frozen.store(true, Ordering::Relaxed);
        self.set(Flow::Frozen);
        if let Some(until) = until {
            let control = self.clone();
            tokio::spawn(async move {
                sleep_until(until).await;
                control.set(Flow::Free);
            });
        }
    }

    /// Comes back when the connection is to end.
    pub async fn ended(&self) {
        let mut flow = self.flow.subscribe();
        // It fails only without a sender, and there is one.
        let _ = flow.wait_for(|flow| matches!(flow, Flow::Ended | Flow::Reset)).await;
    }
}

async fn carry_both(mut stream: TcpStream, theirs: DuplexStream, control: Control) {
    let (from_relay, to_relay) = split(theirs);
    let (from_program, to_program) = stream.split();
    tokio::select! {
        () = control.ended() => {}
        _ = async {
            tokio::join!(
                carry(from_program, to_relay, &control, false),
                carry(from_relay, to_program, &control, true),
            )
        } => {}
    }
    if *control.flow.borrow() == Flow::Reset {
        let _ = stream.set_zero_linger();
    }
}

/// One direction, to its end.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    control: &Control,
    may_be_garbled: bool,
) -> Result<()> {
    let mut flow = control.flow.subscribe();
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        let flow = *flow.wait_for(|flow| *flow != Flow::Frozen).await?;
        let read = bytes.get_mut(..count).unwrap_or_default();
        if read.is_empty() {
            to.shutdown().await?;
            return Ok(());
        }
        if flow == Flow::Garbled && may_be_garbled {
            for byte in read.iter_mut() {
                *byte ^= 0x5a;
            }
        }
        to.write_all(read).await?;
    }
}
