//! Why the core does not do what was asked, in words for the person who asked.

use griot_protocol::{Refusal, invite::InviteError};

use crate::store::StoreError;

/// Why a command failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row of the store is not what this version writes.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store holds no account.
    #[error("there is no account here: run `griot init` first")]
    NoAccount,
    /// The store holds one already.
    #[error("there is an account here already")]
    AccountExists,
    /// A name that is empty or too long.
    #[error("a name has 1 to {max} bytes and no control characters", max = griot_protocol::invite::DISPLAY_NAME_BYTES_MAX)]
    Name,
    /// No home has ever answered, so the network and its rules are not known.
    #[error("no home node has answered yet: check `griot home list`, or start the node, and try again")]
    NoNetwork,
    /// No such home.
    #[error("no such home")]
    NoSuchHome,
    /// The home is there already.
    #[error("this home is there already")]
    HomeExists,
    /// As many homes as an account may have.
    #[error("an account has at most {max} homes", max = super::limits::HOMES_MAX)]
    TooManyHomes,
    /// The node that answers is not the one that was greeted.
    #[error("this home is another node than before: greet it again")]
    HomeChanged,
    /// The mailbox is not one of ours, or was withdrawn.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// The link cannot be read.
    #[error(transparent)]
    Link(#[from] InviteError),
    /// The link was made for another network.
    #[error("this invite is for the network \"{theirs}\", your homes are on \"{ours}\"")]
    OtherNetwork {
        /// The link's.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// The link has run out.
    #[error("this invite has expired: ask for a new one")]
    InviteExpired,
    /// The link is our own.
    #[error("this is your own invite: give it to somebody else")]
    OwnInvite,
    /// A life of zero days, or too many.
    #[error("an invite lives 1 to {max} days", max = super::limits::INVITE_DAYS_MAX)]
    InviteDays,
    /// No such invite.
    #[error("no such invite")]
    NoSuchInvite,
    /// As many active invites as an account may have.
    #[error("too many active invites")]
    TooManyInvites,
    /// No such request.
    #[error("no such request")]
    NoSuchRequest,
    /// Neither a contact's id nor a name.
    #[error("no contact is called \"{0}\"")]
    NoSuchContact(String),
    /// Several contacts have this name.
    #[error("several contacts are called \"{name}\": use an id: {ids}")]
    Ambiguous {
        /// The name.
        name: String,
        /// Their ids.
        ids: String,
    },
    /// They have not accepted yet.
    #[error("{0} has not accepted your request yet")]
    Pending(String),
    /// We blocked them.
    #[error("{0} is blocked")]
    Blocked(String),
    /// Not blocked, so there is nothing to unblock.
    #[error("{0} is not blocked")]
    NotBlocked(String),
    /// The content does not fit the largest bucket.
    #[error("the message is too large: {bytes} bytes encoded, {max} fit")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// The most that fits.
        max: usize,
    },
    /// The content is no JSON object with a `type`.
    #[error("a message is a JSON object with a \"type\"")]
    Content,
    /// The queue is full.
    #[error("too many messages wait to be sent: wait until a home answers")]
    QueueFull,
    /// No such message.
    #[error("no such message")]
    NoSuchMessage,
    /// Cryptography failed in a way that only damaged keys explain.
    #[error("{0}")]
    Crypto(&'static str),
    /// A record made here breaks a rule: a wrong clock, most likely.
    #[error("the record could not be made: {0}")]
    Record(#[from] Refusal),
    /// An outcome that does not answer this work.
    #[error("this outcome does not answer this work")]
    Mismatch,
}
