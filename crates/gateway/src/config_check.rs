//! Checks of the configuration that need no provider.

use crate::config::{Alias, ConfigError, GatewayConfig};

impl GatewayConfig {
    /// Checks chains and prices.
    ///
    /// # Errors
    /// The first error, with its place.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.links(None)?;
        self.own_prices().map(|_| ())
    }
}

impl Alias {
    /// Checks that the alias has a weight for each link or no weights.
    pub(crate) fn check_weights(&self, alias: &str) -> Result<(), ConfigError> {
        let fault = |message: String| Err(ConfigError::at(format!("models.{alias}.weights"), message));
        if self.weights.is_empty() {
            return Ok(());
        }
        if self.weights.len() != self.chain.len() {
            return fault(format!("{} links need {} weights, such as [3, 1]", self.chain.len(), self.chain.len()));
        }
        if self.weights.iter().all(|&weight| weight == 0) {
            return fault("at least one weight must not be 0".to_owned());
        }
        Ok(())
    }
}
