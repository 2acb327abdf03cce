// Package mailgw reads what a mail gateway tells: the counters and process states of amavis, the queues of Postfix,
// rspamd, the mail log, and how fresh the signatures of virus scanners are.
package mailgw
