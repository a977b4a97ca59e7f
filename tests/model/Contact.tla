------------------------------ MODULE Contact ------------------------------
(* The contact protocol: what may happen next, and what must happen in the end.                   *)
(* docs/protocol tells it in words; properties.md names what must hold.                           *)
EXTENDS Properties

OnRecord(r) ==
  \/ Refer(r) \/ Hold(r) \/ Lift(r) \/ Change(r) \/ Erase(r) \/ StoreWithdrawal(r) \/ PutInForce(r) \/ ForgetWithdrawal(r)
  \/ Apply(r) \/ Park(r) \/ ApplyPastParked(r) \/ Redrive(r) \/ EndLead(r) \/ Inherit(r)
  \/ \E a \in Agencies : Claim(a, r) \/ Grant(a, r) \/ HandOver(r, a)

OnPermit(p) ==
  \/ Expire(p) \/ ExpireRedeemed(p) \/ Note(p) \/ Redeem(p, "yes") \/ Redeem(p, "lost") \/ RedeemAgain(p) \/ RedeemAnew(p)
  \/ Refuse(p) \/ HandOut(p) \/ TellNotMade(p) \/ IntakeCrash(p) \/ RedeemForTheDead(p) \/ Replay(p) \/ RedeemPastIntake(p)
  \/ WriteRow(p) \/ Send(p) \/ TimePasses(p) \/ NotMade(p) \/ SenderCrash(p) \/ LateNo(p) \/ ReportUnknown(p) \/ Retry(p) \/ Resolve(p)
  \/ \E o \in {"reached", "declined", "unreached"} : Outcome(p, o)

Next ==
  \/ Link \/ Unlink \/ Succeed \/ BackUp \/ Restore \/ Reconcile
  \/ \E r \in Records : OnRecord(r)
  \/ \E p \in Permits : OnPermit(p)

Spec == Init /\ [][Next]_vars

\* What the system itself keeps trying. People, agencies and faults owe nothing.
Fairness ==
  /\ WF_vars(Reconcile)
  /\ \A r \in Records : WF_vars(Apply(r)) /\ WF_vars(ApplyPastParked(r)) /\ WF_vars(Redrive(r)) /\ WF_vars(PutInForce(r))
  /\ \A p \in Permits : WF_vars(TimePasses(p)) /\ WF_vars(Resolve(p)) /\ WF_vars(TellNotMade(p))
LiveSpec == Spec /\ Fairness
=============================================================================
