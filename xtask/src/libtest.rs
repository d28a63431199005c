//! What a Rust test program says about itself.

use std::ops::AddAssign;

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Came out as expected.
    pub passed: u32,
    /// Did not, or did not come to an end.
    pub failed: u32,
    /// Marked `#[ignore]`.
    pub ignored: u32,
}

impl Tally {
    /// Of a check, which passes or fails as one.
    pub fn of_check(passed: bool) -> Self {
        Self {
            passed: u32::from(passed),
            failed: u32::from(!passed),
            ignored: 0,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// The outcome of test programs that printed `output` and ended with success or not.
///
/// A program that dies says nothing of its tests: each one that has begun and not summed up counts as one failure, and
/// so does an unsuccessful end that no failed test explains.
pub fn tally(output: &str, succeeded: bool) -> Tally {
    let mut tally = Tally::default();
    let mut unfinished = 0_u32;
    for line in output.lines() {
        if is_beginning(line) {
            unfinished += 1;
        } else if let Some(result) = result(line) {
            unfinished = unfinished.saturating_sub(1);
            tally += result;
        }
    }
    tally.failed += unfinished;
    if !succeeded && tally.failed == 0 {
        tally.failed = 1;
    }
    tally
}

/// `running 3 tests`
fn is_beginning(line: &str) -> bool {
    let words: Vec<_> = line.split(' ').collect();
    matches!(words.as_slice(), ["running", number, "test" | "tests"] if number.parse::<u32>().is_ok())
}

/// `test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn result(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |name: &str| {
        let count = counts
            .split("; ")
            .find_map(|count| count.strip_suffix(name))?;
        count.trim().parse().ok()
    };
    Some(Tally {
        passed: count("passed")?,
        failed: count("failed")?,
        ignored: count("ignored")?,
    })
}

/// The part of `output` that tells of failures: from the first list of them on, else the last lines.
pub fn failures(output: &str) -> String {
    const LAST: usize = 40;
    let lines: Vec<_> = output.lines().collect();
    let start = lines
        .iter()
        .position(|line| *line == "failures:")
        .unwrap_or(lines.len().saturating_sub(LAST));
    lines[start..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "running 2 tests\ntest a ... ok\ntest b ... ok\n\n\
        test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";

    #[test]
    fn the_results_of_all_programs_add_up() {
        let bad = GOOD.replace("ok. 2 passed; 0 failed", "FAILED. 1 passed; 1 failed");
        assert_eq!(
            tally(&format!("{GOOD}{bad}"), false),
            Tally {
                passed: 3,
                failed: 1,
                ignored: 2
            }
        );
    }

    #[test]
    fn a_program_that_dies_in_a_test_is_a_failure() {
        let dead = "running 5 tests\ntest a ... ok\n";
        assert_eq!(
            tally(&format!("{GOOD}{dead}"), false),
            Tally {
                passed: 2,
                failed: 1,
                ignored: 1
            }
        );
        assert_eq!(tally(dead, true).failed, 1, "whatever its status says");
    }

    #[test]
    fn an_unsuccessful_end_is_a_failure_also_when_every_test_passed() {
        assert_eq!(tally(GOOD, false).failed, 1);
        assert_eq!(tally("error: could not compile", false).failed, 1);
        assert_eq!(tally(GOOD, true).failed, 0);
    }

    #[test]
    fn what_a_test_prints_is_not_taken_for_a_result() {
        let noise = "test result: looks fine\nrunning many tests\nrunning 3 tests today\n";
        assert_eq!(
            tally(&format!("{noise}{GOOD}"), true),
            Tally {
                passed: 2,
                failed: 0,
                ignored: 1
            }
        );
    }

    #[test]
    fn failures_are_shown_from_their_list_on() {
        assert_eq!(
            failures("noise\nfailures:\n\n---- a stdout ----\nlost"),
            "failures:\n\n---- a stdout ----\nlost"
        );
        assert_eq!(
            failures("error: could not compile"),
            "error: could not compile"
        );
    }
}
