use super::*;
use crate::ids::{Epoch, JobId, NodeName, ShardId, TenantId};
use crate::time::Timestamp;
use bytes::Bytes;
use proptest::prelude::*;
use std::path::PathBuf;
use uuid::Uuid;

/// Bytes of the golden file, written as hexadecimal in lines.
fn golden(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/wire").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits: String = text.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(envelope: &Envelope, version: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    envelope.encode_into(version, &mut bytes).expect("it is small enough");
    bytes
}

/// A released encoding decodes to the same value, and the value still encodes to the same bytes.
#[track_caller]
fn check_envelope(file: &str, envelope: &Envelope) {
    let bytes = golden(file);
    assert_eq!(Envelope::decode(&Bytes::from(bytes.clone()), (1, 1)).as_ref(), Ok(envelope), "{file} decodes");
    let seen = encode(envelope, 1);
    assert_eq!(seen, bytes, "the encoding of {file} changed to {}: add a version instead", hex(&seen));
}

#[track_caller]
fn check_greeting(file: &str, greeting: &Greeting) {
    let bytes = golden(file);
    assert_eq!(Greeting::decode(&bytes).as_ref(), Ok(greeting), "{file} decodes");
    let seen = greeting.encode();
    assert_eq!(seen, bytes, "the encoding of {file} changed to {}: greetings keep theirs", hex(&seen));
}

fn call() -> Envelope {
    Envelope {
        kind: Kind::Call,
        correlation: 7,
        tenant: TenantId::try_new("acme").expect("valid"),
        job: Some(JobId::from_uuid(Uuid::from_u128(1))),
        shard: Some(ShardId::new(42)),
        epoch: Epoch(3),
        deadline: Timestamp::from_millis(1_800_000_000_000),
        trace: Some(vec![1, 2, 3]),
        body: Bytes::from_static(b"admit"),
    }
}

fn hello() -> Hello {
    Hello {
        cluster: "argiope".to_owned(),
        name: NodeName::try_new("node-a").expect("valid"),
        boot: Uuid::from_u128(2),
        wire: (1, 2),
        roles: vec!["control".to_owned(), "frontier".to_owned()],
        clock: Timestamp::from_millis(1_800_000_000_000),
        nonce: [3; 32],
        token: [4; 16],
    }
}

#[test]
fn released_encodings_decode_for_ever_and_do_not_change() {
    check_envelope("call.v1.hex", &call());
    check_envelope("ping.v1.hex", &Envelope::bare(Kind::Ping, 9, Bytes::new()));
    let body = RefusalBody { code: 1, message: "expired".to_owned() }.encode();
    check_envelope("refusal.v1.hex", &Envelope::bare(Kind::Refusal, 7, body));
    check_greeting("hello.hex", &Greeting::Hello(hello()));
    check_greeting("proof.hex", &Greeting::Proof([5; 32]));
    check_greeting("welcome.hex", &Greeting::Welcome([6; 32]));
    check_greeting("refuse.hex", &Greeting::Refuse(Reason::Clock, "9 s".to_owned()));
}

#[test]
fn kinds_and_reasons_keep_their_numbers() {
    let kinds = [Kind::Call, Kind::Reply, Kind::Refusal, Kind::Ping, Kind::Pong, Kind::Ack, Kind::Bye];
    for (number, kind) in (1_u8..).zip(kinds) {
        let bytes = encode(&Envelope::bare(kind, 0, Bytes::new()), 1);
        assert_eq!(bytes[2], number);
        assert_eq!(Envelope::decode(&Bytes::from(bytes), (1, 1)).map(|envelope| envelope.kind), Ok(kind));
    }
    let taken = Greeting::Refuse(Reason::NameTaken, String::new()).encode();
    assert_eq!(taken[5], 4);
}

#[test]
fn another_version_is_an_error_that_names_it() {
    let of_three = Bytes::from(encode(&call(), 3));
    assert_eq!(
        Envelope::decode(&of_three, (1, 1)),
        Err(WireError::Version { found: 3, oldest: 1, newest: 1 }),
        "N does not read N+2"
    );
    assert!(Envelope::decode(&of_three, (2, 3)).is_ok());
    assert_eq!(negotiate((1, 1), (1, 2)), Some(1), "N and N+1 meet at N");
    assert_eq!(negotiate((1, 2), (2, 3)), Some(2));
    assert_eq!(negotiate((1, 1), (2, 3)), None, "N and N+2 do not meet");
}

#[test]
fn an_unknown_kind_can_still_be_answered() {
    let mut bytes = encode(&call(), 1);
    bytes[2] = 200;
    let expected = Err(WireError::UnknownKind { kind: 200, correlation: 7 });
    assert_eq!(Envelope::decode(&Bytes::from(bytes), (1, 1)), expected);
}

#[test]
fn the_limit_is_checked_on_both_sides() {
    let mut envelope = call();
    let about = encode(&envelope, 1).len() - envelope.body.len();
    envelope.body = Bytes::from(vec![0; MAX_ENVELOPE_BYTES - about]);
    let bytes = encode(&envelope, 1);
    assert_eq!(bytes.len(), MAX_ENVELOPE_BYTES);
    assert!(Envelope::decode(&Bytes::from(bytes), (1, 1)).is_ok());

    envelope.body = Bytes::from(vec![0; MAX_ENVELOPE_BYTES - about + 1]);
    let too_large = WireError::TooLarge { bytes: MAX_ENVELOPE_BYTES + 1, max: MAX_ENVELOPE_BYTES };
    assert_eq!(envelope.encode_into(1, &mut Vec::new()), Err(too_large.clone()));
    assert_eq!(Envelope::decode(&Bytes::from(vec![0; MAX_ENVELOPE_BYTES + 1]), (1, 1)), Err(too_large));
    let long = vec![0; MAX_GREETING_BYTES + 1];
    assert!(matches!(Greeting::decode(&long), Err(WireError::TooLarge { .. })));
}

#[test]
fn a_later_version_may_add_to_greetings() {
    let mut bytes = Greeting::Hello(hello()).encode();
    bytes.extend_from_slice(b"more");
    assert_eq!(Greeting::decode(&bytes), Ok(Greeting::Hello(hello())));
    let mut unknown = Greeting::Refuse(Reason::Clock, "because".to_owned()).encode();
    unknown[5] = 99;
    assert_eq!(Greeting::decode(&unknown), Ok(Greeting::Refuse(Reason::Malformed, "because".to_owned())));
}

proptest! {
    #[test]
    fn envelopes_come_back_as_they_went(
        correlation: u64,
        shard: Option<u8>,
        epoch: u64,
        deadline: u64,
        trace in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64)),
        body in proptest::collection::vec(any::<u8>(), 0..4096),
        version in 1_u16..3,
    ) {
        let (shard, epoch, deadline) = (shard.map(ShardId::new), Epoch(epoch), Timestamp::from_millis(deadline));
        let envelope = Envelope { correlation, shard, epoch, deadline, trace, body: Bytes::from(body), ..call() };
        let bytes = Bytes::from(encode(&envelope, version));
        prop_assert_eq!(Envelope::decode(&bytes, (1, 2)), Ok(envelope));
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Greeting::decode(&bytes);
        let _ = RefusalBody::decode(&bytes);
        let _ = Envelope::decode(&Bytes::from(bytes), (0, u16::MAX));
    }

    /// Bytes that begin well go deeper than random ones.
    #[test]
    fn no_damage_makes_decoding_panic(at in 0_usize..64, byte: u8, length in 0_usize..400) {
        let mut bytes = encode(&call(), 1);
        let mut greeting = Greeting::Hello(hello()).encode();
        for bytes in [&mut bytes, &mut greeting] {
            if let Some(place) = bytes.get_mut(at) { *place = byte; }
            bytes.truncate(length);
        }
        let _ = Envelope::decode(&Bytes::from(bytes), (1, 1));
        let _ = Greeting::decode(&greeting);
    }
}
