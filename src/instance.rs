//! The EC2 instance that this node is. Plain values: [`source`](crate::source) reads them.

/// What is known of the instance. `None`: it has none, or it could not be read. Each value is
/// printable, not empty, and has at most 256 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Whose it is: twelve digits.
    pub account_id: Option<String>,
    /// `eu-west-1a`.
    pub availability_zone: Option<String>,
    /// `eu-west-1`.
    pub region: Option<String>,
    /// `i-0123456789abcdef0`.
    pub instance_id: Option<String>,
    /// `m7g.large`.
    pub instance_type: Option<String>,
    /// `spot` or `on-demand`.
    pub life_cycle: Option<String>,
    /// Its private DNS name.
    pub local_hostname: Option<String>,
    /// Its private IPv4 address.
    pub local_ip: Option<String>,
    /// Its public DNS name.
    pub public_hostname: Option<String>,
    /// Its public IPv4 address.
    pub public_ip: Option<String>,
}

impl Instance {
    /// `aws:///eu-west-1a/i-0123456789abcdef0`: how the cloud provider of AWS names it in the Node's
    /// `spec.providerID`. `None` if one of the two is not known.
    pub fn provider_id(&self) -> Option<String> {
        let (zone, id) = (self.availability_zone.as_ref()?, self.instance_id.as_ref()?);
        Some(format!("aws:///{zone}/{id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_id_needs_zone_and_instance() {
        let zone = Instance { availability_zone: Some("eu-west-1a".into()), ..Instance::default() };
        assert_eq!(zone.provider_id(), None);
        let both = Instance { instance_id: Some("i-0123".into()), ..zone };
        assert_eq!(both.provider_id().as_deref(), Some("aws:///eu-west-1a/i-0123"));
    }
}
