//! A simulated machine in a room, with the numbers of the well-known sample module.
//!
//! The machine starts at 21 °C and warms up in small random steps; above 25 °C it warms a little slower, at 100 °C it stays.
//! Its pressure follows its temperature (1 to 10 between 21 and 100 °C), the room stays about 21 °C and 25 % humidity.

/// Where the machine starts, and where a reset brings it.
pub const MACHINE_TEMPERATURE_MIN: f64 = 21.0;
/// Where it stops warming up.
pub const MACHINE_TEMPERATURE_MAX: f64 = 100.0;
const MACHINE_PRESSURE_MIN: f64 = 1.0;
const MACHINE_PRESSURE_MAX: f64 = 10.0;
const AMBIENT_TEMPERATURE: f64 = 21.0;
const AMBIENT_HUMIDITY_PERCENT: i64 = 25;

/// What one measurement shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// Degrees Celsius.
    pub machine_temperature: f64,
    /// Bar.
    pub machine_pressure: f64,
    /// Degrees Celsius.
    pub ambient_temperature: f64,
    /// Percent.
    pub ambient_humidity: i64,
}

/// The machine. The caller brings the randomness, so that a test can bring its own.
#[derive(Debug, Clone)]
pub struct Thermometer {
    machine_temperature: f64,
}

impl Default for Thermometer {
    fn default() -> Self {
        Self { machine_temperature: MACHINE_TEMPERATURE_MIN }
    }
}

impl Thermometer {
    /// Lets a moment pass and measures. `random` gives numbers from 0 to below 1.
    pub fn measure(&mut self, mut random: impl FnMut() -> f64) -> Measurement {
        // −0.25 … +0.75 while cold, −0.25 … +0.35 later: always a drift upwards, never a straight line.
        let span = if self.machine_temperature > 25.0 { 0.6 } else { 1.0 };
        let step = random() * span - 0.25;
        self.machine_temperature =
            (self.machine_temperature + step).clamp(MACHINE_TEMPERATURE_MIN, MACHINE_TEMPERATURE_MAX);
        let share =
            (self.machine_temperature - MACHINE_TEMPERATURE_MIN) / (MACHINE_TEMPERATURE_MAX - MACHINE_TEMPERATURE_MIN);
        Measurement {
            machine_temperature: self.machine_temperature,
            machine_pressure: MACHINE_PRESSURE_MIN + share * (MACHINE_PRESSURE_MAX - MACHINE_PRESSURE_MIN),
            ambient_temperature: AMBIENT_TEMPERATURE + random() - 0.5,
            ambient_humidity: AMBIENT_HUMIDITY_PERCENT + (random() * 3.0) as i64 - 1,
        }
    }

    /// Back to the start.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator with a fixed seed.
    fn random() -> impl FnMut() -> f64 {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn it_drifts_up_stays_in_bounds_and_resets() {
        let mut random = random();
        let mut machine = Thermometer::default();
        let first = machine.measure(&mut random);
        assert!((20.9..22.0).contains(&first.machine_temperature));
        for _ in 0..10_000 {
            let m = machine.measure(&mut random);
            assert!((MACHINE_TEMPERATURE_MIN..=MACHINE_TEMPERATURE_MAX).contains(&m.machine_temperature));
            assert!((MACHINE_PRESSURE_MIN..=MACHINE_PRESSURE_MAX).contains(&m.machine_pressure));
            assert!((20.5..21.5).contains(&m.ambient_temperature));
            assert!((24..=26).contains(&m.ambient_humidity));
        }
        assert!(machine.machine_temperature > 90.0);
        machine.reset();
        assert!(machine.measure(&mut random).machine_temperature < 22.0);
    }
}
