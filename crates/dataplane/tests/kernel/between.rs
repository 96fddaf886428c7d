//! The plane in user space at one end, the kernel's IPsec at the other.

use dataplane::{ChildSa, Mode, Plane};

use crate::lab::{Lab, carried, ensure};
use crate::user::{self, SUITES, nat_socket};
use crate::{Outcome, OwnTrial, sas};

pub const TRIALS: &[OwnTrial] = &[
    (
        "every_suite_is_understood_at_both_ends",
        every_suite_is_understood_at_both_ends,
    ),
    (
        "esp_in_udp_is_understood_at_both_ends",
        esp_in_udp_is_understood_at_both_ends,
    ),
];

fn through(lab: &Lab, ends: &(ChildSa, ChildSa), udp: bool) -> Outcome {
    let sockets = if udp {
        vec![nat_socket(&lab.left, "192.0.2.1:4500")?]
    } else {
        Vec::new()
    };
    let kernels = nat_socket(&lab.right, "192.0.2.2:4500")?;
    if udp {
        dataplane::take_esp_from(&kernels)?;
    }
    let mut left = user::plane(lab, &lab.left, sockets)?;
    let mut right = lab.plane(&lab.right)?;
    user::install(&lab.left, &mut left, &ends.0)?;
    right.plane.install(&ends.1)?;
    lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
    lab.right.pings("-s 1300 -I 10.2.0.1 10.1.0.1")?;
    carried(&left.plane.counters(ends.0.id)?, 6)?;
    carried(&right.plane.counters(ends.1.id)?, 6)?;
    left.plane.close()?;
    Ok(right.plane.close()?)
}

fn every_suite_is_understood_at_both_ends() -> Outcome {
    let lab = Lab::new()?;
    let mut tried = 0;
    for (number, suite) in SUITES.iter().enumerate() {
        let number = u32::try_from(number + 1)?;
        let ends = sas::pair(suite, Mode::Tunnel, number);
        match through(&lab, &ends, false) {
            Err(why)
                if why
                    .message()
                    .is_some_and(|why| why.contains("does not know")) => {}
            other => {
                other.map_err(|why| {
                    format!("{}: {}", suite.name, why.message().unwrap_or_default())
                })?;
                tried += 1;
            }
        }
    }
    ensure(tried > SUITES.len() / 2, || {
        format!("the kernel has only {tried} of the suites")
    })
}

fn esp_in_udp_is_understood_at_both_ends() -> Outcome {
    let lab = Lab::new()?;
    let (mut left, _) = sas::pair(&SUITES[0], Mode::Tunnel, 1);
    left.encap = Some(sas::ENCAP);
    let right = sas::other_end(&left);
    through(&lab, &(left, right), true)
}
