//! Hashes that stay the same across releases, machines and restarts.
//!
//! Not for security: these spread schedules and fingerprint addresses. The standard library's hasher is
//! deliberately unstable between releases, which would move every probe's phase on an upgrade.

/// FNV-1a, 32 bits, as `blackbox_exporter` uses for `probe_ip_addr_hash`.
///
/// Source: <http://www.isthe.com/chongo/tech/comp/fnv/>.
#[must_use]
pub fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// FNV-1a over 64 bits with the `SplitMix64` finisher, so that near-equal inputs spread over the whole range.
///
/// `parts` are separated by a byte that cannot stand in UTF-8, so `("ab", "c")` and `("a", "bc")` differ.
#[must_use]
pub fn spread_64(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Bytes in hexadecimal, lower case.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_matches_the_published_vectors() {
        assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a_32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(spread_64(&["ab", "c"]), spread_64(&["a", "bc"]));
    }

    #[test]
    fn ten_thousand_names_fill_a_hundred_buckets_evenly() {
        let mut buckets = [0_u32; 100];
        for number in 0..10_000 {
            let hash = spread_64(&[&format!("probe-{number}"), "eu"]);
            let bucket = usize::try_from((u128::from(hash) * 100) >> 64).unwrap();
            buckets[bucket] += 1;
        }
        // Binomial(10,000, 1/100): mean 100, standard deviation 10; six deviations is one in a billion.
        assert!(buckets.iter().all(|count| (40..=160).contains(count)), "{buckets:?}");
    }
}
