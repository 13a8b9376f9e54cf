//! Known answers: data, not code. Each line can be had again with
//! `printf abc | openssl dgst -sha256` and
//! `printf 'what do ya want for nothing?' | openssl mac -digest SHA256 -macopt key:Jefe HMAC`;
//! the digests are those of FIPS 180-4's and FIPS 202's examples, the MACs of
//! the SHA-2 family those of RFC 4231, test case 2.

use super::Hash;

/// What a hash must give for "abc", and its HMAC for RFC 4231's test case 2.
pub struct Answer {
    /// The hash.
    pub hash: Hash,
    /// The digest in hexadecimal.
    pub digest: &'static str,
    /// The MAC in hexadecimal.
    pub mac: &'static str,
}

/// One answer for each hash.
pub static ANSWERS: [Answer; Hash::ALL.len()] = [
    Answer {
        hash: Hash::Sha1,
        digest: "a9993e364706816aba3e25717850c26c9cd0d89d",
        mac: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    },
    Answer {
        hash: Hash::Sha224,
        digest: "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
        mac: "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
    },
    Answer {
        hash: Hash::Sha256,
        digest: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        mac: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    },
    Answer {
        hash: Hash::Sha384,
        digest: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        mac: "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
    },
    Answer {
        hash: Hash::Sha512,
        digest: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        mac: "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    },
    Answer {
        hash: Hash::Sha512_224,
        digest: "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa",
        mac: "4a530b31a79ebcce36916546317c45f247d83241dfb818fd37254bde",
    },
    Answer {
        hash: Hash::Sha512_256,
        digest: "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
        mac: "6df7b24630d5ccb2ee335407081a87188c221489768fa2020513b2d593359456",
    },
    Answer {
        hash: Hash::Sha3_224,
        digest: "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
        mac: "7fdb8dd88bd2f60d1b798634ad386811c2cfc85bfaf5d52bbace5e66",
    },
    Answer {
        hash: Hash::Sha3_256,
        digest: "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        mac: "c7d4072e788877ae3596bbb0da73b887c9171f93095b294ae857fbe2645e1ba5",
    },
    Answer {
        hash: Hash::Sha3_384,
        digest: "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
        mac: "f1101f8cbf9766fd6764d2ed61903f21ca9b18f57cf3e1a23ca13508a93243ce48c045dc007f26a21b3f5e0e9df4c20a",
    },
    Answer {
        hash: Hash::Sha3_512,
        digest: "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        mac: "5a4bfeab6166427c7a3647b747292b8384537cdb89afb3bf5665e4c5e709350b287baec921fd7ca0ee7a0c31d022a95e1fc92ba9d77df883960275beb4e62024",
    },
];
