//! The ledger: money and model calls.

use std::sync::Arc;

use kapelle_core::{
    Account, AccountKind, CallId, Money, Payload, PayloadId, RunId, TaskId, TenantId, Timestamp, task::*,
};

use super::{Rig, fixtures::*, on_every_store};
use crate::{
    AccountRow, AccountWrite, Batch, BudgetRow, CallAnswer, CallEnd, CallFilter, CallRow, CallState, CallWrite, Commit,
    HOURS_KEPT_DAYS, IdKind, KeptRow, LedgerWrites, Page, PayloadBody, PrepaidRow, PrepaidWrite, Retention, Span,
    SpendFilter,
};

on_every_store! {
    a_call_is_open_until_it_is_settled_once,
    answers_come_back_in_the_order_of_recording_by_task_and_epoch,
    an_account_is_written_only_over_what_was_read,
    accounts_are_listed_by_day_and_amount,
    budgets_are_kept_by_account,
    an_answer_is_kept_for_its_tenant_until_its_time,
    what_belongs_to_a_task_goes_with_it,
    calls_without_a_task_go_after_their_time,
    parked_tasks_are_found,
    a_block_is_there_until_it_is_gone,
    calls_have_numbers_of_their_own,
    spending_is_summed_by_hour_and_day_once_a_call_is_over,
    sums_of_hours_go_and_those_of_days_stay,
}

const ONE: TenantId = TenantId(1);

fn call(id: i64, task: Option<i64>) -> CallRow {
    CallRow {
        id: CallId(id),
        tenant: ONE,
        task: task.map(TaskId),
        attempt: 1,
        run: Some(RunId(9)),
        epoch: 0,
        payer: vec![Account::Worker("w".to_owned()), Account::Day],
        operation: Arc::from("chat/completions"),
        provider: Arc::from("p"),
        model: Arc::from("m"),
        fingerprint: [7; 32],
        state: CallState::Open,
        reserved: Money(500),
        cost: Money::ZERO,
        input: 0,
        output: 0,
        at: Timestamp(id),
        ended_at: None,
        request_id: None,
        answer: None,
    }
}

fn end(cost: u64) -> CallEnd {
    let request_id = Some(Arc::from("req_1"));
    CallEnd { state: CallState::Charged, cost: Money(cost), input: 3, output: 4, at: Timestamp(99), request_id }
}

fn new(row: &CallRow) -> CallWrite {
    CallWrite::New(Box::new(row.clone()))
}

fn answer(call: i64, payload: i64) -> CallWrite {
    CallWrite::Answer(CallId(call), CallAnswer { payload: PayloadId(payload), meta: Arc::from("{}") })
}

fn calls(calls: Vec<CallWrite>) -> Batch<'static> {
    Batch { ledger: LedgerWrites { calls, ..LedgerWrites::default() }, ..Batch::default() }
}

fn conflict() -> Commit {
    Commit::Conflict { tasks: Vec::new(), runs: Vec::new(), other: true }
}

fn payload(id: i64) -> (PayloadId, PayloadBody) {
    (PayloadId(id), PayloadBody::Bytes(Arc::from(&b"{}"[..])))
}

fn a_call_is_open_until_it_is_settled_once(mut rig: Rig) {
    let (one, two) = (call(1, Some(5)), call(2, None));
    rig.done(&calls(vec![new(&one), new(&two)]));
    assert_eq!(rig.store.commit(&calls(vec![new(&one)])).unwrap(), conflict(), "it exists");
    assert_eq!(rig.store.open_calls(CallId(0), 9).unwrap(), [one.clone(), two.clone()]);
    assert_eq!(rig.store.open_calls(CallId(1), 9).unwrap(), std::slice::from_ref(&two));
    rig.done(&calls(vec![CallWrite::End(CallId(1), end(70))]));
    rig.done(&calls(vec![CallWrite::End(CallId(1), end(71)), CallWrite::End(CallId(77), end(1))]));
    assert_eq!(rig.store.open_calls(CallId(0), 9).unwrap(), [two]);
    let want = CallRow {
        state: CallState::Charged,
        cost: Money(70),
        input: 3,
        output: 4,
        ended_at: Some(Timestamp(99)),
        request_id: Some(Arc::from("req_1")),
        ..one
    };
    assert_eq!(rig.reader.call(ONE, CallId(1)).unwrap(), Some(want.clone()));
    assert_eq!(rig.reader.call(TenantId(2), CallId(1)).unwrap(), None);
    let page = Page { before: None, most: 9 };
    let all = rig.reader.calls(ONE, &CallFilter::default(), page).unwrap();
    assert_eq!(all.iter().map(|row| row.id.0).collect::<Vec<_>>(), [2, 1]);
    let of_task = CallFilter { task: Some(TaskId(5)), ..CallFilter::default() };
    assert_eq!(rig.reader.calls(ONE, &of_task, page).unwrap(), [want]);
    // A call that is begun and settled in one turn.
    rig.done(&calls(vec![new(&call(3, None)), CallWrite::End(CallId(3), end(1))]));
    assert_eq!(rig.reader.call(ONE, CallId(3)).unwrap().unwrap().state, CallState::Charged);
}

fn a_block_is_there_until_it_is_gone(mut rig: Rig) {
    let block = |id: i64, task: Option<i64>| PrepaidRow {
        id: CallId(id),
        tenant: ONE,
        task: task.map(TaskId),
        attempt: 2,
        run: task.map(RunId),
        epoch: 3,
        payer: vec![Account::Key("key_1".to_owned()), Account::Day],
        amount: Money(1_000),
        at: Timestamp(id),
    };
    let prepaid = |prepaid| Batch { ledger: LedgerWrites { prepaid, ..LedgerWrites::default() }, ..Batch::default() };
    let drawn = |id, task| PrepaidWrite::Drawn(Box::new(block(id, task)));
    rig.done(&prepaid(vec![drawn(1, Some(5)), drawn(2, None)]));
    assert_eq!(rig.store.commit(&prepaid(vec![drawn(1, None)])).unwrap(), conflict(), "it is there");
    assert_eq!(rig.store.prepaid(CallId(0), 9).unwrap(), [block(1, Some(5)), block(2, None)]);
    assert_eq!(rig.store.prepaid(CallId(0), 1).unwrap(), [block(1, Some(5))]);
    assert_eq!(rig.store.prepaid(CallId(1), 9).unwrap(), [block(2, None)]);
    // One is spent for its call, one comes and goes in a turn, and one does not exist any more.
    let mut batch = calls(vec![new(&call(1, Some(5)))]);
    batch.ledger.prepaid = vec![PrepaidWrite::Gone(CallId(1)), drawn(3, None), PrepaidWrite::Gone(CallId(3))];
    rig.done(&batch);
    rig.done(&prepaid(vec![PrepaidWrite::Gone(CallId(1))]));
    assert_eq!(rig.store.prepaid(CallId(0), 9).unwrap(), [block(2, None)]);
    assert_eq!(rig.store.open_calls(CallId(0), 9).unwrap(), [call(1, Some(5))]);
}

fn answers_come_back_in_the_order_of_recording_by_task_and_epoch(mut rig: Rig) {
    let other = CallRow { epoch: 1, ..call(3, Some(5)) };
    let mut batch = calls(vec![new(&call(1, Some(5))), new(&call(2, Some(5))), new(&other), new(&call(4, Some(6)))]);
    batch.payloads = (1..5).map(payload).collect();
    rig.done(&batch);
    rig.done(&calls(vec![answer(2, 1), answer(1, 2), answer(3, 3), answer(4, 4)]));
    // An answer is never changed, and the answer of a missing call is dropped.
    rig.done(&calls(vec![answer(1, 4), answer(77, 4)]));
    let ids = |task, epoch| {
        let rows = rig.reader.recorded(TaskId(task), epoch).unwrap();
        rows.iter().map(|row| row.id.0).collect::<Vec<_>>()
    };
    assert_eq!((ids(5, 0), ids(5, 1), ids(6, 0), ids(7, 0)), (vec![2, 1], vec![3], vec![4], vec![]));
}

fn account(account: Account, day: i64, spent: u64) -> AccountRow {
    AccountRow { spent: Money(spent), calls: 1, ..AccountRow::new(ONE, account, day) }
}

fn accounts(writes: Vec<(AccountRow, Option<u32>)>) -> Batch<'static> {
    let accounts = writes.into_iter().map(|(row, expected)| AccountWrite { row, expected }).collect();
    Batch { ledger: LedgerWrites { accounts, ..LedgerWrites::default() }, ..Batch::default() }
}

fn an_account_is_written_only_over_what_was_read(mut rig: Rig) {
    let row = account(Account::Queue("ml".to_owned()), 0, 5);
    rig.done(&accounts(vec![(row.clone(), None)]));
    assert_eq!(rig.store.commit(&accounts(vec![(row.clone(), None)])).unwrap(), conflict());
    let more = AccountRow { spent: Money(8), revision: 1, ..row.clone() };
    assert_eq!(rig.store.commit(&accounts(vec![(more.clone(), Some(1))])).unwrap(), conflict());
    rig.done(&accounts(vec![(more.clone(), Some(0))]));
    assert_eq!(rig.store.account(ONE, &row.account, 0).unwrap(), Some(more.clone()));
    assert_eq!(rig.reader.account(ONE, &row.account, 0).unwrap(), Some(more));
    assert_eq!(rig.store.account(TenantId(2), &row.account, 0).unwrap(), None);
    assert_eq!(rig.store.account(ONE, &row.account, 1).unwrap(), None);
}

fn accounts_are_listed_by_day_and_amount(mut rig: Rig) {
    let days = [(3, 5), (4, 1), (2, 9)].map(|(day, spent)| (account(Account::Day, day, spent), None));
    let queues = [("a", 5), ("b", 7), ("c", 5)].map(|(name, spent)| {
        let row = account(Account::Queue(name.to_owned()), 0, spent);
        (row, None)
    });
    rig.done(&accounts(days.into_iter().chain(queues).collect()));
    let days: Vec<i64> = rig.reader.accounts(ONE, AccountKind::Day, 2).unwrap().iter().map(|row| row.day).collect();
    assert_eq!(days, [4, 3]);
    let queues = rig.reader.accounts(ONE, AccountKind::Queue, 9).unwrap();
    assert_eq!(queues.iter().map(|row| row.account.name()).collect::<Vec<_>>(), ["b", "a", "c"]);
    let tenants = [(1, 4), (2, 9), (3, 4)]
        .map(|(tenant, spent)| (AccountRow { tenant: TenantId(tenant), ..account(Account::Tenant, 0, spent) }, None));
    rig.done(&accounts(tenants.into_iter().collect()));
    let most = |rig: &Rig, most| -> Vec<i64> {
        let rows = rig.reader.tenant_accounts(most).unwrap();
        rows.iter().map(|row| i64::from(row.tenant.0)).collect()
    };
    assert_eq!((most(&rig, 9), most(&rig, 2)), (vec![2, 1, 3], vec![2, 1]));
}

fn budgets_are_kept_by_account(mut rig: Rig) {
    let row = |account, limit| BudgetRow {
        tenant: ONE,
        account,
        limit: Money(limit),
        own: Some(Money(limit / 2)).filter(|own| own.0 % 2 == 1),
        base: Money(1),
        warned: Money(0),
        at: Timestamp(4),
    };
    let write = |budgets| Batch { ledger: LedgerWrites { budgets, ..LedgerWrites::default() }, ..Batch::default() };
    rig.done(&write(vec![row(Account::Run(RunId(3)), 5), row(Account::Day, 6)]));
    rig.done(&write(vec![row(Account::Day, 7)]));
    assert_eq!(rig.store.budget(ONE, &Account::Day).unwrap(), Some(row(Account::Day, 7)));
    assert_eq!(rig.store.budget(ONE, &Account::Tenant).unwrap(), None);
    assert_eq!(rig.reader.budgets(ONE, 9).unwrap(), [row(Account::Run(RunId(3)), 5), row(Account::Day, 7)]);
    assert_eq!(rig.reader.budgets(TenantId(2), 9).unwrap(), []);
    let other = BudgetRow { tenant: TenantId(2), ..row(Account::Run(RunId(1)), 3) };
    rig.done(&write(vec![other.clone()]));
    let all = [row(Account::Run(RunId(3)), 5), row(Account::Day, 7), other];
    assert_eq!(
        (rig.reader.all_budgets(9).unwrap(), rig.reader.all_budgets(2).unwrap()),
        (all.to_vec(), all[..2].to_vec())
    );
}

fn an_answer_is_kept_for_its_tenant_until_its_time(mut rig: Rig) {
    let mut batch = calls(vec![new(&call(1, None)), answer(1, 1), new(&call(2, None))]);
    batch.payloads = vec![payload(1)];
    let kept = |call, mark, until| KeptRow {
        tenant: ONE,
        fingerprint: [mark; 32],
        call: CallId(call),
        until: Timestamp(until),
    };
    batch.ledger.kept = vec![kept(1, 7, 50), kept(2, 8, 50), kept(5, 9, 50)];
    rig.done(&batch);
    let found = |tenant, mark: u8, now| {
        rig.reader.kept(TenantId(tenant), &[mark; 32], Timestamp(now)).unwrap().map(|row| row.id.0)
    };
    assert_eq!((found(1, 7, 49), found(1, 7, 50), found(2, 7, 49)), (Some(1), None, None));
    assert_eq!((found(1, 8, 1), found(1, 9, 1)), (None, None), "no answer, and no call");
}

fn retention(at: i64) -> Retention {
    let at = Timestamp(at);
    Retention { tasks_before: at, runs_before: at, keys_before: at, most: 100 }
}

fn what_belongs_to_a_task_goes_with_it(mut rig: Rig) {
    rig.add(&[succeeded(5, 10, Payload::None), task(6)]);
    let mut batch = calls(vec![new(&call(1, Some(5))), answer(1, 1), new(&call(2, Some(6)))]);
    batch.payloads = vec![payload(1)];
    batch.ledger.accounts =
        [5, 6].map(|id| AccountWrite { row: account(Account::Task(TaskId(id)), 0, 1), expected: None }).to_vec();
    rig.done(&batch);
    assert!(!rig.expire(retention(20)));
    assert_eq!(rig.reader.call(ONE, CallId(1)).unwrap(), None);
    assert_eq!(rig.reader.payload(PayloadId(1)).unwrap(), None);
    assert_eq!(rig.store.account(ONE, &Account::Task(TaskId(5)), 0).unwrap(), None);
    assert!(rig.reader.call(ONE, CallId(2)).unwrap().is_some());
    assert!(rig.store.account(ONE, &Account::Task(TaskId(6)), 0).unwrap().is_some());
}

fn calls_without_a_task_go_after_their_time(mut rig: Rig) {
    let rows = [call(1, None), call(2, None), call(30, None), call(3, Some(8))];
    let mut writes: Vec<CallWrite> = rows.iter().map(new).collect();
    writes.extend([1, 30, 3].map(|id| CallWrite::End(CallId(id), end(1))));
    rig.done(&calls(writes));
    assert!(!rig.expire(retention(20)));
    let left = rig.reader.calls(ONE, &CallFilter::default(), Page { before: None, most: 9 }).unwrap();
    assert_eq!(left.iter().map(|row| row.id.0).collect::<Vec<_>>(), [30, 3, 2], "the open one and the task's stay");
}

fn parked_tasks_are_found(mut rig: Rig) {
    let parked = |id| Task { state: TaskState::Parked { rank: 1, needs: Money(5) }, ..task(id) };
    rig.add(&[parked(1), task(2), parked(3)]);
    let found = |rig: &mut Rig, after| {
        let rows = rig.store.parked(TaskId(after), 9).unwrap();
        rows.iter().map(|task| task.id.0).collect::<Vec<_>>()
    };
    assert_eq!((found(&mut rig, 0), found(&mut rig, 1), found(&mut rig, 3)), (vec![1, 3], vec![3], vec![]));
}

fn calls_have_numbers_of_their_own(mut rig: Rig) {
    assert_eq!(rig.store.ids(IdKind::Call, 2).unwrap(), 1);
    rig.done(&calls(vec![new(&call(1, None))]));
    assert_eq!((rig.store.ids(IdKind::Call, 1).unwrap(), rig.store.ids(IdKind::Task, 1).unwrap()), (3, 1));
}

fn spent(rig: &Rig, span: Span, by: &[AccountKind], each: bool) -> Vec<(i64, String, u64, u64, u64)> {
    let filter = SpendFilter { span, from: 0, to: 100, worker: None, model: None, by: by.to_vec(), each };
    let rows = rig.reader.spending(ONE, &filter).unwrap();
    rows.into_iter()
        .map(|row| (row.start, row.names.join(","), row.sums.spent.0, row.sums.calls, row.sums.given))
        .collect()
}

fn spending_is_summed_by_hour_and_day_once_a_call_is_over(mut rig: Rig) {
    const HOUR: i64 = 3_600_000;
    let at =
        |id, hour: i64, model: &str| CallRow { at: Timestamp(hour * HOUR), model: Arc::from(model), ..call(id, None) };
    let given = CallRow { state: CallState::Given, input: 50, ..at(4, 25, "m") };
    let lost = CallRow { state: CallState::Unknown, cost: Money(500), ..at(5, 25, "n") };
    let other = CallRow { tenant: TenantId(2), state: CallState::Charged, cost: Money(9), ..at(6, 1, "m") };
    let rows = [at(1, 1, "m"), at(2, 1, "n"), at(3, 25, "m"), given, lost, other];
    rig.done(&calls(rows.iter().map(new).collect()));
    assert_eq!(spent(&rig, Span::Day, &[], false), [(0, String::new(), 500, 1, 1)], "open calls do not count");
    let end = |id, cost| CallWrite::End(CallId(id), end(cost));
    rig.done(&calls(vec![end(1, 10), end(2, 20), end(3, 40)]));
    rig.done(&calls(vec![end(1, 99)]));
    let none = String::new;
    assert_eq!(spent(&rig, Span::Hour, &[], true), [(1, none(), 30, 2, 0), (25, none(), 540, 2, 1)]);
    assert_eq!(spent(&rig, Span::Day, &[], true), [(0, none(), 30, 2, 0), (1, none(), 540, 2, 1)]);
    let by = [AccountKind::Worker, AccountKind::Model];
    let named = |model: &str, spent, calls, given| (0, format!("w,p/{model}"), spent, calls, given);
    assert_eq!(spent(&rig, Span::Day, &by, false), [named("m", 50, 2, 1), named("n", 520, 2, 0)]);
    let only = SpendFilter {
        span: Span::Hour,
        from: 25,
        to: 26,
        worker: Some("w".to_owned()),
        model: Some("n".to_owned()),
        by: Vec::new(),
        each: false,
    };
    let found = rig.reader.spending(ONE, &only).unwrap();
    assert_eq!(found.iter().map(|row| (row.sums.spent.0, row.sums.unknown.0)).collect::<Vec<_>>(), [(500, 500)]);
    assert_eq!(rig.reader.spending(ONE, &SpendFilter { worker: Some("x".to_owned()), ..only }).unwrap(), []);
}

fn sums_of_hours_go_and_those_of_days_stay(mut rig: Rig) {
    let done = CallRow { state: CallState::Charged, cost: Money(u64::MAX), ..call(1, None) };
    let again = CallRow { id: CallId(2), ..done.clone() };
    rig.done(&calls(vec![new(&done)]));
    rig.done(&calls(vec![new(&again)]));
    let all = |rig: &Rig| [Span::Hour, Span::Day].map(|span| spent(rig, span, &[], true).len());
    assert_eq!(all(&rig), [1, 1], "sums saturate");
    assert!(!rig.expire(retention(HOURS_KEPT_DAYS * 86_400_000 + 3_599_999)));
    assert_eq!(all(&rig), [1, 1], "the calls are gone, their sums are not");
    assert!(!rig.expire(retention(HOURS_KEPT_DAYS * 86_400_000 + 3_600_000)));
    assert_eq!(all(&rig), [0, 1]);
}
