//! Semantic types of DTDL v2 and the units each allows.
//!
//! A telemetry or property co-typed with one of these has a numeric schema and a `unit` of the matching unit type. The
//! tables are the language's own, sorted, so that a lookup is a binary search.

/// Semantic type, and the name of its unit type.
const SEMANTIC_TYPES: &[(&str, &str)] = &[
    ("Acceleration", "AccelerationUnit"),
    ("Angle", "AngleUnit"),
    ("AngularAcceleration", "AngularAccelerationUnit"),
    ("AngularVelocity", "AngularVelocityUnit"),
    ("Area", "AreaUnit"),
    ("Capacitance", "CapacitanceUnit"),
    ("Current", "CurrentUnit"),
    ("DataRate", "DataRateUnit"),
    ("DataSize", "DataSizeUnit"),
    ("Density", "DensityUnit"),
    ("Distance", "LengthUnit"),
    ("ElectricCharge", "ChargeUnit"),
    ("Energy", "EnergyUnit"),
    ("Force", "ForceUnit"),
    ("Frequency", "FrequencyUnit"),
    ("Humidity", "DensityUnit"),
    ("Illuminance", "IlluminanceUnit"),
    ("Inductance", "InductanceUnit"),
    ("Latitude", "AngleUnit"),
    ("Length", "LengthUnit"),
    ("Longitude", "AngleUnit"),
    ("Luminance", "LuminanceUnit"),
    ("Luminosity", "PowerUnit"),
    ("LuminousFlux", "LuminousFluxUnit"),
    ("LuminousIntensity", "LuminousIntensityUnit"),
    ("MagneticFlux", "MagneticFluxUnit"),
    ("MagneticInduction", "MagneticInductionUnit"),
    ("Mass", "MassUnit"),
    ("MassFlowRate", "MassFlowRateUnit"),
    ("Power", "PowerUnit"),
    ("Pressure", "PressureUnit"),
    ("RelativeHumidity", "Unitless"),
    ("Resistance", "ResistanceUnit"),
    ("SoundPressure", "SoundPressureUnit"),
    ("Temperature", "TemperatureUnit"),
    ("Thrust", "ForceUnit"),
    ("TimeSpan", "TimeUnit"),
    ("Torque", "TorqueUnit"),
    ("Velocity", "VelocityUnit"),
    ("Voltage", "VoltageUnit"),
    ("Volume", "VolumeUnit"),
    ("VolumeFlowRate", "VolumeFlowRateUnit"),
];

/// Unit type, and its units.
const UNIT_TYPES: &[(&str, &[&str])] = &[
    ("AccelerationUnit", &["centimetrePerSecondSquared", "gForce", "metrePerSecondSquared"]),
    ("AngleUnit", &["degreeOfArc", "minuteOfArc", "radian", "secondOfArc", "turn"]),
    ("AngularAccelerationUnit", &["radianPerSecondSquared"]),
    ("AngularVelocityUnit", &["degreePerSecond", "radianPerSecond", "revolutionPerMinute", "revolutionPerSecond"]),
    (
        "AreaUnit",
        &[
            "acre",
            "hectare",
            "squareCentimetre",
            "squareFoot",
            "squareInch",
            "squareKilometre",
            "squareMetre",
            "squareMillimetre",
        ],
    ),
    ("CapacitanceUnit", &["farad", "microfarad", "millifarad", "nanofarad", "picofarad"]),
    ("ChargeUnit", &["coulomb"]),
    ("CurrentUnit", &["ampere", "microampere", "milliampere"]),
    (
        "DataRateUnit",
        &[
            "bitPerSecond",
            "bytePerSecond",
            "exbibitPerSecond",
            "exbibytePerSecond",
            "gibibitPerSecond",
            "gibibytePerSecond",
            "kibibitPerSecond",
            "kibibytePerSecond",
            "mebibitPerSecond",
            "mebibytePerSecond",
            "tebibitPerSecond",
            "tebibytePerSecond",
            "yobibitPerSecond",
            "yobibytePerSecond",
            "zebibitPerSecond",
            "zebibytePerSecond",
        ],
    ),
    (
        "DataSizeUnit",
        &[
            "bit", "byte", "exbibit", "exbibyte", "gibibit", "gibibyte", "kibibit", "kibibyte", "mebibit", "mebibyte",
            "tebibit", "tebibyte", "yobibit", "yobibyte", "zebibit", "zebibyte",
        ],
    ),
    ("DensityUnit", &["gramPerCubicMetre", "kilogramPerCubicMetre"]),
    (
        "EnergyUnit",
        &["electronvolt", "gigajoule", "joule", "kilojoule", "kilowattHour", "megaelectronvolt", "megajoule"],
    ),
    ("ForceUnit", &["newton", "ounce", "pound", "ton"]),
    ("FrequencyUnit", &["gigahertz", "hertz", "kilohertz", "megahertz"]),
    ("IlluminanceUnit", &["footcandle", "lux"]),
    ("InductanceUnit", &["henry", "microhenry", "millihenry"]),
    (
        "LengthUnit",
        &[
            "astronomicalUnit",
            "centimetre",
            "foot",
            "inch",
            "kilometre",
            "metre",
            "micrometre",
            "mile",
            "millimetre",
            "nanometre",
            "nauticalMile",
        ],
    ),
    ("LuminanceUnit", &["candelaPerSquareMetre"]),
    ("LuminousFluxUnit", &["lumen"]),
    ("LuminousIntensityUnit", &["candela"]),
    ("MagneticFluxUnit", &["maxwell", "weber"]),
    ("MagneticInductionUnit", &["tesla"]),
    ("MassFlowRateUnit", &["gramPerHour", "gramPerSecond", "kilogramPerHour", "kilogramPerSecond"]),
    ("MassUnit", &["gram", "kilogram", "microgram", "milligram", "slug", "tonne"]),
    (
        "PowerUnit",
        &["gigawatt", "horsepower", "kilowatt", "kilowattHourPerYear", "megawatt", "microwatt", "milliwatt", "watt"],
    ),
    (
        "PressureUnit",
        &[
            "bar",
            "inchesOfMercury",
            "inchesOfWater",
            "kilopascal",
            "millibar",
            "millimetresOfMercury",
            "pascal",
            "poundPerSquareInch",
        ],
    ),
    ("ResistanceUnit", &["kiloohm", "megaohm", "milliohm", "ohm"]),
    ("SoundPressureUnit", &["bel", "decibel"]),
    ("TemperatureUnit", &["degreeCelsius", "degreeFahrenheit", "kelvin"]),
    ("TimeUnit", &["day", "hour", "microsecond", "millisecond", "minute", "nanosecond", "second", "year"]),
    ("TorqueUnit", &["newtonMetre"]),
    ("Unitless", &["percent", "unity"]),
    (
        "VelocityUnit",
        &[
            "centimetrePerSecond",
            "kilometrePerHour",
            "kilometrePerSecond",
            "knot",
            "metrePerHour",
            "metrePerSecond",
            "milePerHour",
            "milePerSecond",
        ],
    ),
    ("VoltageUnit", &["kilovolt", "megavolt", "microvolt", "millivolt", "volt"]),
    ("VolumeFlowRateUnit", &["litrePerHour", "litrePerSecond", "millilitrePerHour", "millilitrePerSecond"]),
    (
        "VolumeUnit",
        &["cubicCentimetre", "cubicFoot", "cubicInch", "cubicMetre", "fluidOunce", "gallon", "litre", "millilitre"],
    ),
];

/// The unit type of a semantic type; `None` when there is no such type.
pub(super) fn unit_type(semantic_type: &str) -> Option<&'static str> {
    find(SEMANTIC_TYPES, semantic_type).copied()
}

/// The units of a unit type; empty when there is no such type.
pub(super) fn units(unit_type: &str) -> &'static [&'static str] {
    find(UNIT_TYPES, unit_type).copied().unwrap_or(&[])
}

/// Whether a word is a semantic type, a unit type or a unit.
pub(super) fn is_term(word: &str) -> bool {
    unit_type(word).is_some() || UNIT_TYPES.iter().any(|(unit_type, units)| *unit_type == word || units.contains(&word))
}

fn find<T>(table: &'static [(&'static str, T)], name: &str) -> Option<&'static T> {
    table.binary_search_by(|(candidate, _)| (*candidate).cmp(name)).ok().map(|index| &table[index].1)
}

#[cfg(test)]
mod tests;
