//! Who gets which statement: so many users are shared by so many sessions, each of which serves its users in turn. Pure
//! arithmetic, so that a receiver knows what it is owed without being told message by message.

#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) users: usize,
    pub(crate) sessions: usize,
}

impl Share {
    /// The session that serves a user.
    pub(crate) fn session_of(self, user: usize) -> usize {
        user % self.sessions
    }

    /// How many users a session serves: every `sessions`-th.
    pub(crate) fn users_of(self, session: usize) -> u32 {
        narrow((self.users + self.sessions - 1 - session) / self.sessions)
    }

    /// The user of statement `number` of a session, and its number among his; nobody if the session has no users.
    pub(crate) fn target(self, session: usize, number: u32) -> Option<(usize, u32)> {
        let users = self.users_of(session);
        let position = number.checked_rem(users)?;
        Some((position as usize * self.sessions + session, number / users))
    }

    /// How many of the first `statements` of his session go to a user.
    pub(crate) fn numbered_for(self, user: usize, statements: u32) -> u32 {
        let users = self.users_of(self.session_of(user));
        let position = narrow(user / self.sessions);
        statements / users + u32::from(statements % users > position)
    }
}

fn narrow(users: usize) -> u32 {
    u32::try_from(users).expect("users are numbered in 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_counted_for_its_user() {
        let share = Share {
            users: 7,
            sessions: 3,
        };
        let mut counts = [0; 7];
        for session in 0..3 {
            for number in 0..20 {
                let (user, sequence) = share.target(session, number).unwrap();
                assert_eq!((share.session_of(user), sequence), (session, counts[user]));
                counts[user] += 1;
                assert_eq!(share.numbered_for(user, number + 1), counts[user]);
            }
        }
        assert_eq!(counts.iter().sum::<u32>(), 60);
    }

    #[test]
    fn a_session_without_users_serves_nobody() {
        let share = Share {
            users: 1,
            sessions: 2,
        };
        assert_eq!(share.target(1, 0), None);
        assert_eq!(share.target(0, 5), Some((0, 5)));
    }
}
