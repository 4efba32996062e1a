//! The first words on a stream, before the transport sees it: who is there, in which version, with which cookie, and a
//! named refusal where that does not do. Every wait is inside the caller's handshake deadline.

use super::cookie::Side;
use super::session::{Terms, clock_ahead};
use super::shared::Shared;
use super::socket::{Secured, Stream};
use super::start::{MAX_CLOCK_SKEW, is_skewed};
use super::tls::certificate_problem;
use super::{Peer, heartbeat};
use argiope_protocol::wire::{Greeting, Hello, MAX_GREETING_BYTES, Reason, negotiate};
use argiope_protocol::{NodeName, Role};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Why there is no session.
#[derive(Debug)]
pub(super) enum Failure {
    /// One of the two said no.
    Refused {
        reason: Reason,
        text: String,
        /// The other node, where it has said who it is.
        name: Option<NodeName>,
    },
    /// The stream failed.
    Stream(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match certificate_problem(&error) {
            Some(text) => Self::Refused { reason: Reason::Certificate, text, name: None },
            None => Self::Stream(error),
        }
    }
}

/// What both have said.
pub(super) struct Agreed {
    theirs: Hello,
    token_in: [u8; 16],
    version: u16,
    clock_ahead: i64,
    /// As they crossed.
    dialler_hello: Vec<u8>,
    acceptor_hello: Vec<u8>,
}

impl Agreed {
    pub(super) fn name(&self) -> &NodeName {
        &self.theirs.name
    }

    /// What the session is made from.
    pub(super) fn terms(&self, dialled: Option<String>) -> Terms {
        let Hello { name, boot, roles, token, .. } = &self.theirs;
        let roles = roles.iter().filter_map(|word| Role::of(word)).collect();
        Terms {
            peer: Peer { name: name.clone(), boot: *boot, roles },
            version: self.version,
            clock_ahead: self.clock_ahead,
            token_out: *token,
            token_in: self.token_in,
            dialled,
        }
    }
}

/// The dialler's part, up to the welcome. `expected` is who should answer at this address.
pub(super) async fn as_dialler(
    shared: &Shared,
    secured: &mut Secured,
    expected: Option<&NodeName>,
) -> Result<Agreed, Failure> {
    let ours = hello(shared);
    let dialler_hello = send(&mut *secured.stream, &Greeting::Hello(ours.clone())).await?;
    let (theirs, acceptor_hello) = receive_hello(secured).await?;
    let (version, clock_ahead) = match judge(shared, &theirs, secured, expected) {
        Ok(agreed) => agreed,
        Err((reason, text)) => return Err(refuse(&mut *secured.stream, reason, text, Some(theirs.name)).await),
    };
    let key = &shared.identity.key;
    let proof = key.proof(Side::Dialler, &dialler_hello, &acceptor_hello);
    send(&mut *secured.stream, &Greeting::Proof(proof)).await?;
    let (answer, _) = receive(&mut *secured.stream).await?;
    match answer {
        Greeting::Welcome(proof) if key.is_proof(&proof, Side::Acceptor, &dialler_hello, &acceptor_hello) => {
            Ok(Agreed { theirs, token_in: ours.token, version, clock_ahead, dialler_hello, acceptor_hello })
        }
        Greeting::Welcome(_) => {
            let text = format!("node {} does not know the cookie of this cluster", theirs.name);
            Err(refuse(&mut *secured.stream, Reason::Cookie, text, Some(theirs.name)).await)
        }
        Greeting::Refuse(reason, text) => Err(refused_by(reason, &text, Some(theirs.name))),
        Greeting::Hello(_) | Greeting::Proof(_) => Err(malformed("a greeting that was not its turn")),
    }
}

/// The acceptor's part, up to the proof; [`welcome`] or [`refuse`] must follow.
pub(super) async fn as_acceptor(shared: &Shared, secured: &mut Secured) -> Result<Agreed, Failure> {
    let (theirs, dialler_hello) = receive_hello(secured).await?;
    let (version, clock_ahead) = match judge(shared, &theirs, secured, None) {
        Ok(agreed) => agreed,
        Err((reason, text)) => return Err(refuse(&mut *secured.stream, reason, text, Some(theirs.name)).await),
    };
    let ours = hello(shared);
    let acceptor_hello = send(&mut *secured.stream, &Greeting::Hello(ours.clone())).await?;
    let (answer, _) = receive(&mut *secured.stream).await?;
    match answer {
        Greeting::Proof(proof)
            if shared.identity.key.is_proof(&proof, Side::Dialler, &dialler_hello, &acceptor_hello) =>
        {
            Ok(Agreed { theirs, token_in: ours.token, version, clock_ahead, dialler_hello, acceptor_hello })
        }
        Greeting::Proof(_) => {
            let text = format!("node {} does not know the cookie of this cluster", theirs.name);
            Err(refuse(&mut *secured.stream, Reason::Cookie, text, Some(theirs.name)).await)
        }
        Greeting::Refuse(reason, text) => Err(refused_by(reason, &text, Some(theirs.name))),
        Greeting::Hello(_) | Greeting::Welcome(_) => Err(malformed("a greeting that was not its turn")),
    }
}

/// The last word of the acceptor.
pub(super) async fn welcome(shared: &Shared, secured: &mut Secured, agreed: &Agreed) -> Result<(), Failure> {
    let proof = shared.identity.key.proof(Side::Acceptor, &agreed.dialler_hello, &agreed.acceptor_hello);
    send(&mut *secured.stream, &Greeting::Welcome(proof)).await?;
    Ok(())
}

/// Says no and closes the stream; answers what the caller reports. A peer that does not listen is not waited for.
pub(super) async fn refuse(stream: &mut dyn Stream, reason: Reason, text: String, name: Option<NodeName>) -> Failure {
    let say = async {
        send(&mut *stream, &Greeting::Refuse(reason, text.clone())).await?;
        stream.shutdown().await.map_err(Failure::from)
    };
    drop(timeout(heartbeat::BEAT, say).await);
    Failure::Refused { reason, text, name }
}

fn refused_by(reason: Reason, text: &str, name: Option<NodeName>) -> Failure {
    Failure::Refused { reason, text: format!("the other node says: {text}"), name }
}

fn malformed(what: &str) -> Failure {
    let text = format!("what answers is no argiope node of this kind: {what}");
    Failure::Refused { reason: Reason::Malformed, text, name: None }
}

fn hello(shared: &Shared) -> Hello {
    let identity = &shared.identity;
    Hello {
        cluster: identity.cluster.clone(),
        name: identity.name.clone(),
        boot: identity.boot,
        wire: identity.wire,
        roles: identity.roles.iter().map(|role| role.code().to_owned()).collect(),
        clock: shared.now(),
        nonce: rand::random(),
        token: rand::random(),
    }
}

/// Version and the lead of the peer's clock, or why there will be no session.
fn judge(
    shared: &Shared,
    theirs: &Hello,
    secured: &Secured,
    expected: Option<&NodeName>,
) -> Result<(u16, i64), (Reason, String)> {
    let identity = &shared.identity;
    let (ours, name) = (&identity.name, &theirs.name);
    if theirs.boot == identity.boot && name == ours {
        return Err((Reason::Itself, format!("node {ours} dialled itself")));
    }
    if theirs.cluster != identity.cluster {
        let text =
            format!("node {name} belongs to cluster {:?}, node {ours} to {:?}", theirs.cluster, identity.cluster);
        return Err((Reason::Cluster, text));
    }
    if !secured.may_be(name) {
        return Err((Reason::Certificate, format!("the certificate shown by node {name} is not that of {name}")));
    }
    if name == ours {
        return Err((Reason::NameTaken, format!("two nodes call themselves {name}")));
    }
    if let Some(expected) = expected.filter(|expected| *expected != name) {
        return Err((Reason::WrongName, format!("node {name} answers where node {expected} was expected")));
    }
    let Some(version) = negotiate(identity.wire, theirs.wire) else {
        let ((from, to), (their_from, their_to)) = (identity.wire, theirs.wire);
        let text = format!("node {name} speaks wire {their_from} to {their_to}, node {ours} {from} to {to}");
        return Err((Reason::Version, text));
    };
    let ahead = clock_ahead(theirs.clock, shared.now());
    if is_skewed(ahead) {
        let (seconds, limit) = (ahead / 1000, MAX_CLOCK_SKEW.as_secs());
        let text = format!("the clock of node {name} is {seconds} s ahead of that of {ours}; the limit is {limit} s");
        return Err((Reason::Clock, text));
    }
    Ok((version, ahead))
}

async fn receive_hello(secured: &mut Secured) -> Result<(Hello, Vec<u8>), Failure> {
    match receive(&mut *secured.stream).await? {
        (Greeting::Hello(hello), bytes) => Ok((hello, bytes)),
        (Greeting::Refuse(reason, text), _) => Err(refused_by(reason, &text, None)),
        (Greeting::Proof(_) | Greeting::Welcome(_), _) => Err(malformed("a greeting that was not its turn")),
    }
}

/// Sends a greeting with its length; answers its bytes.
async fn send(stream: &mut dyn Stream, greeting: &Greeting) -> Result<Vec<u8>, Failure> {
    let bytes = greeting.encode();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let frame = [&length.to_be_bytes()[..], &bytes].concat();
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(bytes)
}

async fn receive(stream: &mut dyn Stream) -> Result<(Greeting, Vec<u8>), Failure> {
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > MAX_GREETING_BYTES {
        return Err(malformed("its first bytes are no greeting"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    let greeting = Greeting::decode(&bytes).map_err(|error| malformed(&error.to_string()))?;
    Ok((greeting, bytes))
}
