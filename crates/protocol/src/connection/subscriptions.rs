//! What a client asked to be told.

/// What the client is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subscriptions {
    /// `$iothub/methods/POST/#`
    pub methods: bool,
    /// `$iothub/twin/PATCH/properties/desired/#`
    pub desired: bool,
    /// `$iothub/twin/res/#`
    pub twin_replies: bool,
    /// `devices/{d}/modules/{m}/inputs/#` (or the wider forms C and C# use)
    pub inputs: bool,
    /// `devices/{d}/messages/devicebound/#`
    pub cloud_to_device: bool,
}

impl Subscriptions {
    /// Everything a device can ask for: all but module inputs.
    pub fn device() -> Self {
        Self { methods: true, desired: true, twin_replies: true, inputs: false, cloud_to_device: true }
    }

    /// Everything a module can ask for.
    pub fn module() -> Self {
        Self { methods: true, desired: true, twin_replies: true, inputs: true, cloud_to_device: false }
    }

    /// The set as one byte, so that it can be shared between tasks without a lock.
    pub fn to_bits(self) -> u8 {
        let flags = [self.methods, self.desired, self.twin_replies, self.inputs, self.cloud_to_device];
        flags.iter().enumerate().fold(0, |bits, (at, set)| bits | (u8::from(*set) << at))
    }

    /// The set from [`to_bits`](Self::to_bits); other bits are ignored.
    pub fn from_bits(bits: u8) -> Self {
        let set = |at: u8| bits & (1 << at) != 0;
        Self { methods: set(0), desired: set(1), twin_replies: set(2), inputs: set(3), cloud_to_device: set(4) }
    }
}
