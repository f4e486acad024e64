//! What `--help` shows by example. Lines fit a terminal of 80 columns.

pub(super) const EXAMPLES: &str = "\
See it work: three nodes, two people, one dead node
  griot demo

Begin (`griotd`, when it starts, says what stands behind --node)
  griot init --name Awa --node unix:/var/lib/griot/api.sock

Meet: one makes a link and gives it to the other, by any way both trust
  griot invite                                 prints the link
  griot connect griot:… --message 'It is me'   the other: asks for contact
  griot requests                               shows who asks, with an ID
  griot accept ID                              lets them in

Write
  griot send Kofi 'Hello' --wait delivered
  griot inbox --follow

Scripts: --json prints one object a line on stdout, all else goes to stderr.
Exit codes: 0 done, 1 failed, 2 usage, 3 timed out (the message stays queued).
The account is encrypted with GRIOT_PASSPHRASE, with a passphrase asked for on
the terminal, or with a key file beside it.";

pub(super) const INVITE_EXAMPLES: &str = "\
Examples:
  griot invite                      for anybody who gets the link, for a week
  griot invite --once --expires 1   for the first who asks, until tomorrow
  griot invite list
  griot invite revoke l3uarb6d3eiir7tw

The link is the only thing on stdout: griot invite > link.txt
Whoever has it may ask for contact; nobody can write before you `griot accept`.";

pub(super) const CONNECT_EXAMPLES: &str = "\
Examples:
  griot connect griot:aecwo4tj… --message 'It is Awa, from the market'
  griot contacts      pending until they accept, then connected
  griot safety Kofi   then compare the number, by voice or face to face

Asking again, with another link of theirs, is fine: it also heals what broke.";

pub(super) const REQUESTS_EXAMPLES: &str = "\
Examples:
  griot requests
  griot accept c3l7aty4bzh7enlg
  griot decline c3l7aty4bzh7enlg   they are not told";

pub(super) const WHO_EXAMPLES: &str = "\
Examples:
  griot contacts
  griot safety Kofi               the number that both of you see
  griot block Kofi                nothing of theirs arrives any more
  griot unblock Kofi
  griot send c3l7aty4bzh7enlg hi  by id, where two have one name";

pub(super) const SENT_EXAMPLES: &str = "\
Examples:
  griot sent
  griot sent Kofi --json

A message is queued (here), accepted (on the disk of a home of yours), stored
(on the disk of nodes they chose), delivered (collected by them), expired (30
days went by) or refused; WHY says what it waits for or what to do.";

pub(super) const INBOX_EXAMPLES: &str = "\
Examples:
  griot inbox
  griot inbox --follow              stays, and shows what comes as it comes
  griot inbox --json --from Kofi
  griot inbox --json --after e428b1f93b137202bd7eca845039a8c7   what is newer";

pub(super) const HOME_EXAMPLES: &str = "\
Examples:
  griot home list
  griot home add unix:/var/lib/griot/api.sock
  griot home add https://griot.example.org --token TOKEN --fingerprint SHA256
  griot home remove https://griot.example.org   it need not be alive

With two or three homes mail comes and goes while any of them lives. `griotd
member add` makes a token; `griotd` tells its certificate's fingerprint.";

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  griot status
  griot status --json

Queued: no home has taken it yet. Under way: not collected yet. Unreadable: its
sender was asked to send it again.";

pub(super) const DEMO_HELP: &str = "\
It starts three real nodes on loopback, in a temporary folder that it removes
again. `griotd` must be beside `griot` or on PATH.";
