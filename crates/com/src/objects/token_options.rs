//! IBitsTokenOptions (spec/bits-extended.md 10).

use super::super::*;
use super::job::OfJob;
use crate::job::done;

impl<T: OfJob> IBitsTokenOptionsMethods for T {
    fn set_helper_token_flags(&self, flags: u32) -> Done {
        self.set(|p| p.helper_token_flags = Some(flags))
    }

    fn get_helper_token_flags(&self, flags: Out<'_, u32>) -> Done {
        flags.set(self.job().view()?.helper_token_flags);
        OK
    }

    fn set_helper_token(&self) -> Done {
        self.job().read(async |client, id| client.set_helper_token(id, None).await)?;
        OK
    }

    fn clear_helper_token(&self) -> Done {
        let outcome = self.job().read(async |client, id| client.clear_helper_token(id).await)?;
        done(&outcome)
    }

    fn get_helper_token_sid(&self, sid: OutText<'_, Wchar>) -> Done {
        sid.set_or_null(self.job().view()?.helper_token_sid.as_deref())?;
        OK
    }
}
