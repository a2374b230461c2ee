//! Last step of an answer: the journal has it before its last byte is sent, then the cache and the waiting calls.

use std::sync::Arc;

use kapelle_core::Category;

use crate::{
    access::Holder,
    clock::Clock,
    replay::{Cache, CallLog, Fingerprint, Guard, Landed, Recorded},
    wire::Refusal,
};

/// Destinations of an answer besides its caller.
pub(crate) struct Delivery {
    pub(crate) holder: Arc<Holder>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) guard: Option<Guard>,
    pub(crate) log: Arc<dyn CallLog>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Clock,
}

impl Delivery {
    /// Tells whether the bytes have another destination than the caller.
    pub(crate) fn keeps(&self) -> bool {
        self.holder.grant.task.is_some() || self.holder.grant.cache.is_some() || self.guard.is_some()
    }

    /// Records an answer.
    ///
    /// # Errors
    /// [`Refusal`] when the journal fails: an answer that a crash would lose is not delivered.
    pub(crate) async fn finish(self, answer: Recorded) -> Result<Recorded, Refusal> {
        let grant = &self.holder.grant;
        if let Some(key) = grant.task
            && let Err(error) = self.log.append(key, answer.clone()).await
        {
            let refusal = Refusal::new(500, "internal", Category::Internal, format!("the answer is lost: {error}"));
            self.refuse(&refusal);
            return Err(refusal);
        }
        if let Some(ttl) = grant.cache {
            let until_ms = self.clock.now_ms().saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
            self.log.keep(grant.payer.tenant, &answer, grant.task.is_some(), ttl);
            self.cache.put((grant.payer.tenant, self.fingerprint), answer.clone(), until_ms);
        }
        if let Some(guard) = self.guard {
            guard.land(Landed::Answered(Box::new(answer.clone())));
        }
        Ok(answer)
    }

    /// Reports a failure to the waiting calls. A failure of this caller alone (its money, its time, its token) does not
    /// concern them: one of them then leads.
    pub(crate) fn refuse(self, refusal: &Refusal) {
        let own = matches!(refusal.category, Category::Budget | Category::Timeout | Category::LeaseLost);
        if let Some(guard) = self.guard.filter(|_| !own) {
            guard.land(Landed::Refused(Box::new(refusal.clone())));
        }
    }
}
