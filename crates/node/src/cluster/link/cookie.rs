//! Knowing the cookie without telling it.
//!
//! Each side proves that it knows the cookie by a keyed hash over both hellos, which hold fresh nonces, names, boots
//! and session tokens: a proof fits one stream and one direction. The transport asks for a cookie too and gets one
//! derived from ours, so that its 32-bit challenge never works on the real one.

/// Domain separation: two keys from one cookie, neither of which leads to the other.
const PROOF: &str = "argiope 2026-11 link: proof of the cookie";
const TRANSPORT: &str = "argiope 2026-11 link: cookie of the transport";

/// A key made of the cookie.
#[derive(Clone)]
pub(super) struct Key([u8; 32]);

/// Who proves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Dialler,
    Acceptor,
}

impl Key {
    pub(super) fn of(cookie: &str) -> Self {
        Self(blake3::derive_key(PROOF, cookie.as_bytes()))
    }

    /// What `side` says to the other; both hellos as they crossed.
    pub(super) fn proof(&self, side: Side, dialler_hello: &[u8], acceptor_hello: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(match side {
            Side::Dialler => b"dialler ",
            Side::Acceptor => b"acceptor",
        });
        for hello in [dialler_hello, acceptor_hello] {
            hasher.update(&(hello.len() as u64).to_le_bytes());
            hasher.update(hello);
        }
        *hasher.finalize().as_bytes()
    }

    /// Whether a proof is right, in time that does not depend on where it is wrong.
    pub(super) fn is_proof(&self, proof: &[u8; 32], side: Side, dialler_hello: &[u8], acceptor_hello: &[u8]) -> bool {
        blake3::Hash::from(self.proof(side, dialler_hello, acceptor_hello)) == blake3::Hash::from(*proof)
    }
}

/// What the transport uses as cookie.
pub(super) fn of_transport(cookie: &str) -> String {
    blake3::Hash::from(blake3::derive_key(TRANSPORT, cookie.as_bytes())).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_fits_one_cookie_one_side_and_one_stream() {
        let key = Key::of("secret");
        let proof = key.proof(Side::Dialler, b"a", b"b");
        assert!(key.is_proof(&proof, Side::Dialler, b"a", b"b"));
        assert!(!Key::of("other").is_proof(&proof, Side::Dialler, b"a", b"b"));
        assert!(!key.is_proof(&proof, Side::Acceptor, b"a", b"b"));
        assert!(!key.is_proof(&proof, Side::Dialler, b"ab", b""));
        assert!(!key.is_proof(&proof, Side::Dialler, b"a", b"c"));
    }
}
