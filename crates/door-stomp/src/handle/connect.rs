//! `CONNECT`, or `STOMP`: the version, who the client is, its virtual host, and how often each side says something.

use std::sync::Arc;

use broker::access::Actor;
use bytes::Bytes;
use door::{Input, Outgoing, ReadHalf};
use tokio::time::sleep;

use crate::Shared;
use crate::beat::Beats;
use crate::fault::{Fault, quoted};
use crate::limits::BOUNDS_BEFORE_LOGIN;
use crate::login::Gate;
use crate::session::End;
use crate::wire::Version;
use crate::wire::encode::Writer;
use crate::wire::parse::{Command, Frame, Headers, Looked, Parsed, parse};

/// What was agreed.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) version: Version,
    pub(crate) actor: Actor,
    /// Nobody asked who it is.
    pub(crate) is_open: bool,
    pub(crate) virtual_host: Bytes,
    /// The session's name: nobody else has it.
    pub(crate) session: Bytes,
    pub(crate) beats: Beats,
}

/// What a client says at first.
#[derive(Debug)]
struct Hello {
    version: Version,
    login: Option<Bytes>,
    passcode: Option<Bytes>,
    host: Option<Bytes>,
    beats: Beats,
}

impl Hello {
    fn of(headers: Headers<'_>) -> Result<Self, Fault> {
        let accepted = headers.get("accept-version");
        let version = Version::best(accepted.as_deref()).ok_or_else(|| {
            Fault::new("Version mismatch", "Supported versions are 1.0,1.1,1.2\n")
        })?;
        let own = |name: &str| headers.get(name).map(|value| Bytes::from(value.into_owned()));
        let beats = match headers.get("heart-beat") {
            // In 1.0 nobody says anything of it.
            Some(beats) if version > Version::V1_0 => {
                Beats::agreed(&beats).ok_or_else(|| Fault::invalid("CONNECT", "heart-beat"))?
            }
            _ => Beats::default(),
        };
        let (login, passcode) = (own("login"), own("passcode"));
        Ok(Self { version, login, passcode, host: own("host"), beats })
    }
}

/// Speaks with a client until it is in.
///
/// # Errors
/// It ends before that.
pub(crate) async fn run(
    shared: &Shared,
    input: &mut Input<ReadHalf>,
    outgoing: &Arc<Outgoing>,
    (gate, peer): (&Gate, &str),
) -> Result<Agreed, End> {
    let hello = first(input).await?;
    let actor = login(shared, gate, &hello, peer).await?;
    let virtual_host = virtual_host(shared, hello.host.as_deref())?;
    shared.spaces.prepare().await.map_err(|error| {
        End::fault(Fault::internal(format!("exchanges cannot be made: {error}")))
    })?;
    let random = &shared.broker.options().random;
    let session = Bytes::from(format!("session-{:032x}", random.next_u128()));
    outgoing.push(|out| {
        Writer::connected(out)
            .header(b"version", hello.version.name().as_bytes())
            .header(b"session", &session)
            .header(b"server", concat!("Entrepot/", env!("CARGO_PKG_VERSION")).as_bytes())
            .header(b"heart-beat", hello.beats.header().as_bytes())
            .end();
    });
    outgoing.flush();
    let Hello { version, beats, .. } = hello;
    Ok(Agreed { version, actor, is_open: gate.is_open(), virtual_host, session, beats })
}

/// The first frame. Nothing else is due before.
async fn first(input: &mut Input<ReadHalf>) -> Result<Hello, End> {
    let (mut looked, mut wanted) = (Looked::default(), 1);
    loop {
        if !input.fill(wanted).await? {
            return Err(End::Quiet);
        }
        let chunk = input.take();
        let parsed = parse(&chunk, Version::V1_2, &BOUNDS_BEFORE_LOGIN, &mut looked);
        let (hello, used) = match parsed {
            Ok(Parsed::Frame(Frame { command: Command::Connect, headers, .. }, used)) => {
                (Some(Hello::of(headers).map_err(End::fault)?), used)
            }
            Ok(Parsed::Frame(..)) => {
                let detail = "You must log in using CONNECT first";
                return Err(End::fault(Fault::new("Illegal command", detail)));
            }
            Ok(Parsed::Beats(count)) => {
                wanted = 1;
                (None, count)
            }
            Ok(Parsed::More(more)) => {
                wanted = more;
                (None, 0)
            }
            Err(error) => return Err(End::fault(Fault::frame(error, &chunk))),
        };
        input.put_back(chunk, used);
        if let Some(hello) = hello {
            return Ok(hello);
        }
    }
}

async fn login(shared: &Shared, gate: &Gate, hello: &Hello, peer: &str) -> Result<Actor, End> {
    let refused =
        |detail: String, why: String| End::Refused(Fault::new("Bad CONNECT", detail), why);
    let said = hello.login.as_deref().zip(hello.passcode.as_deref());
    if said.is_none() && !gate.knows() {
        let detail = "Missing login or passcode header(s)".to_owned();
        return Err(refused(detail.clone(), detail));
    }
    match gate.login(said).await {
        Ok(principal) => Ok(shared.broker.actor(principal, peer.into())),
        Err(why) => {
            sleep(gate.failure_delay()).await;
            let name = quoted(hello.login.as_deref().unwrap_or_default());
            Err(refused(format!("Access refused for user '{name}'"), why))
        }
    }
}

/// The virtual host that a client names, or `/` if it names none. A name that is none is refused, as RabbitMQ does; STOMP
/// would have it either way (1.2, "CONNECT or STOMP Frame"), and clients of brokers without virtual hosts say the name of the
/// machine, so that it can be configured to mean `/`.
fn virtual_host(shared: &Shared, said: Option<&[u8]>) -> Result<Bytes, End> {
    const DEFAULT: &[u8] = b"/";
    match said {
        None => Ok(Bytes::from_static(DEFAULT)),
        Some(name) if shared.spaces.find(name).is_some() => Ok(Bytes::copy_from_slice(name)),
        Some(_) if shared.options.any_host => Ok(Bytes::from_static(DEFAULT)),
        Some(name) => {
            let detail = format!("Virtual host '{}' access denied", quoted(name));
            Err(End::Refused(Fault::new("Bad CONNECT", detail.as_str()), detail))
        }
    }
}
