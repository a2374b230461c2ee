//! Last step of an answer: the journal has it before its last byte is sent, then the cache and the waiting calls.

use std::sync::Arc;

use super::{Failure, Pipeline, Terms, decide::Destinations};
use crate::{
    access::Holder,
    answer::Usage,
    replay::{Fingerprint, Guard, Landed, Recorded},
    upstream_response::UpstreamResponse,
};

/// Destinations of an answer besides its caller.
pub(crate) struct Delivery {
    pub(crate) holder: Arc<Holder>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) terms: Terms,
    pub(crate) guard: Option<Guard>,
    pub(crate) pipeline: Arc<Pipeline>,
}

/// Body of an answer, as it is recorded.
pub(crate) struct Content {
    pub(crate) kind: &'static str,
    pub(crate) body: Arc<[u8]>,
    /// Reason why the first link did not answer.
    pub(crate) degraded: Option<String>,
}

impl Delivery {
    /// Tells whether the bytes have another destination than the caller.
    pub(crate) fn keeps(&self) -> bool {
        self.holder.grant.task.is_some() || self.holder.grant.cache.is_some() || self.guard.is_some()
    }

    /// Settles the call of a whole answer, and makes its record.
    pub(crate) fn settle(&self, upstream: &mut UpstreamResponse, usage: &Usage, content: Content) -> Recorded {
        let grant = &self.holder.grant;
        let call = upstream.reservation();
        let (usage, cost) = upstream.settle(usage, grant.task.is_some());
        Recorded {
            call,
            fingerprint: self.fingerprint,
            content_type: content.kind,
            body: content.body,
            provider: upstream.provider.clone(),
            model: upstream.model.clone(),
            usage,
            cost,
            degraded: content.degraded,
            attempt: grant.payer.attempt,
        }
    }

    /// Records an answer. `usable`: its caller can use it.
    ///
    /// # Errors
    /// [`Failure`] when the journal fails: an answer that a crash would lose is not delivered.
    pub(crate) async fn finish(self, answer: Recorded, usable: bool) -> Result<Recorded, Failure> {
        let grant = &self.holder.grant;
        let to = Destinations::of(grant, usable);
        let log = &self.pipeline.log;
        if let Some(key) = to.journal
            && let Err(error) = log.append(key, answer.clone()).await
        {
            let failure = Failure::internal(format!("the answer is lost: {error}"));
            self.fail(&failure);
            return Err(failure);
        }
        if let Some(ttl) = to.cache {
            log.keep(grant.payer.tenant, &answer, to.journal.is_some(), ttl);
            self.pipeline.cache((grant.payer.tenant, self.fingerprint), answer.clone(), ttl);
        }
        if let Some(guard) = self.guard.filter(|_| to.waiting) {
            guard.land(Landed::Answered(Box::new(answer.clone())));
        }
        Ok(answer)
    }

    /// Reports a failure to the waiting calls. A failure of this caller alone does not concern them: one of them then
    /// leads.
    pub(crate) fn fail(self, failure: &Failure) {
        if let Some(guard) = self.guard.filter(|_| !failure.is_own()) {
            guard.land(Landed::Failed(Box::new(failure.clone()), self.terms));
        }
    }
}
