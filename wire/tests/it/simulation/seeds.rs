//! Worlds that once found something, shortened: they are always visited first.

/// A script, and what it is about.
pub(super) const KNOWN: [(&str, &str); 14] = [
    (
        "7; 178 write 40; 184 journal 0; 186 write 1; 194 journal 0",
        "a lost range that grew after it was written down is not the end of the journal",
    ),
    (
        "4; 16 write 1; 28 journal 0; 41 pause 15196; 42 write 1; 43 pause 40795; 44 kill 0",
        "the relay knows more of a restored session than was kept, and the goodbye says so",
    ),
    (
        "1; 175 pause 1; 178 write 5; 187 pause 65165; 188 leave 0",
        "a last request repeats what the socket brought, and nothing is accepted twice",
    ),
    ("7; 178 write 10", "an acknowledgement waits for the bus"),
    ("1; 13 pause 1; 14 write 1; 18 hurry 0; 22 write 5", "drop_oldest keeps what is in flight"),
    (
        "12; 18 leave 0; 19 pause 1; 20 write 1; 42 write 1; 45 pause 51464; 46 cut 0; 48 write 2",
        "drop_oldest keeps what was in flight before a cut",
    ),
    ("1; 127 pause 1; 128 stall 50000; 134 relay-clock 600; 136 write 1", "a clock that jumps is followed"),
    (
        "1; 32 leave 0; 50 crash 0; 74 write 40; 75 pause 1; 76 write 1; 77 pause 79492; 78 cut 0",
        "the next welcome repeats a refusal that was not heard",
    ),
    (
        "24; 145 pause 1; 146 switch 0; 150 cut 0; 152 write 1; 153 pause 2911166; 168 drain 0; \
         173 pause 523601; 174 switch 0",
        "a ledger whose client was with another relay goes on from there",
    ),
    (
        "4; 164 write 1; 168 freeze 0; 169 pause 3963834; 172 forget 0",
        "what was in a last request is sent again when the page is back",
    ),
    (
        "1; 8 write 3; 12 journal 0; 26 write 10; 30 journal 0",
        "the journal keeps its place when drop_oldest takes what was written down",
    ),
    ("29; 188 write 1; 192 journal 0; 194 kill 0", "what was kept twice is restored once"),
    ("1; 152 write 1; 188 leave 0", "a last request says goodbye after everything that was made"),
    ("7; 178 write 2", "keys are introduced again on every connection"),
];
