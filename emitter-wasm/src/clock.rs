//! The page's clock in microseconds since the Unix epoch.

use atomwire_wire::Micros;
use js_sys::Date;
use web_sys::Performance;

/// How far `performance.now()` may run away from `Date.now()`, in milliseconds. Both are rounded to
/// 100 ms where a browser resists fingerprinting, so less would see jumps that are none.
const JUMP: f64 = 1_000.0;

/// For so long, in milliseconds, a write trusts what the last one saw: a look at the wall clock costs a burst
/// of writes a tenth of each. A machine that slept within it is found out by the next event.
const TRUST: f64 = 1.0;

/// `performance.now()`, which is fine-grained and never goes back, on an origin that is corrected when
/// it turns out wrong: in several browsers it stands still while the machine sleeps.
#[derive(Debug)]
pub(crate) struct Clock {
    performance: Performance,
    /// The Unix time, in milliseconds, at which `performance.now()` would have been zero.
    origin: f64,
    /// When a write last looked, on the scale of `performance.now()`.
    looked_at: f64,
}

impl Clock {
    pub(crate) fn new(performance: Performance) -> Self {
        let origin = performance.time_origin();
        let mut clock = Self { performance, origin, looked_at: f64::NEG_INFINITY };
        clock.correct();
        clock
    }

    pub(crate) fn now(&self) -> Micros {
        self.at(self.performance.now())
    }

    /// The time at which `performance.now()` was `millis`.
    pub(crate) fn at(&self, millis: f64) -> Micros {
        ((self.origin + millis) * 1_000.0) as Micros
    }

    /// Follows `Date.now()` if that is elsewhere; true if it was.
    pub(crate) fn correct(&mut self) -> bool {
        let drift = Date::now() - (self.origin + self.performance.now());
        let jumped = drift.abs() > JUMP;
        if jumped {
            self.origin += drift;
        }
        jumped
    }

    /// The same for a write that ended when `performance.now()` was `millis`, a moment ago as a rule.
    pub(crate) fn correct_after(&mut self, millis: f64) -> bool {
        if (millis - self.looked_at).abs() < TRUST {
            return false;
        }
        self.looked_at = millis;
        (Date::now() - (self.origin + millis)).abs() > JUMP && self.correct()
    }
}
