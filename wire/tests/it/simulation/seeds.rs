//! Worlds that once found something, shortened: they are always visited first.

/// A script, and what it is about.
pub(super) const KNOWN: [(&str, &str); 23] = [
    (
        "7; 178 write 40; 184 journal 0; 186 write 1; 194 journal 0",
        "a lost range that grew after it was written down is not the end of the journal",
    ),
    (
        "2; 2 write 1; 4 journal 0; 28 lose 1; 29 pause 9289; 36 kill 0",
        "the relay knows more of a restored session than was kept, and takes its goodbye",
    ),
    (
        "1; 175 pause 1; 178 write 5; 187 pause 65165; 188 leave 0",
        "a last request repeats what the socket brought, and nothing is accepted twice",
    ),
    ("4; 42 write 1", "an acknowledgement waits for the consumer that is required"),
    ("4; 16 write 1; 41 pause 15196; 43 pause 10198", "a consumer confirms what it has stored, and no more"),
    (
        "4; 140 write 1; 158 freeze 0; 171 pause 21259",
        "a refusal that is not settled outlives its connection",
    ),
    (
        "4; 2 consumer-kill 0; 10 write 1; 13 pause 5161; 14 write 3; 17 pause 459688; 20 write 1; 22 write 1; \
         23 pause 274581; 26 limits 0; 34 kill 0; 42 write 5",
        "credit that was granted is not taken back",
    ),
    (
        "3; 52 write 40; 62 consumer-kill 0; 65 pause 1007; 66 write 3; 67 pause 752797; 68 write 1; \
         91 pause 1452; 92 write 3",
        "credit that was withheld is given, though nothing is settled",
    ),
    (
        "9; 15 pause 1; 16 kill 0; 40 consumer-halt 0; 93 pause 2636; 94 write 40; 95 pause 6006392; 96 freeze 0",
        "a last request has credit when a stream has none",
    ),
    ("4; 66 crash 0; 68 kill 0; 102 write 20", "a batch waits for the room that it takes"),
    (
        "4; 142 consumer-kill 0; 148 write 1; 149 pause 5625; 160 drain 0",
        "a relay that drains names what its consumer lacks",
    ),
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
        "24; 23 pause 1; 24 silence 0; 64 switch 0; 68 crash 0; 169 pause 53001995; 189 pause 15223106; \
         190 write 1; 192 write 1; 193 pause 220279; 194 freeze 0; 205 pause 115104; 206 switch 0",
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
    (
        "187007; 19 pause 842694; 30 cut 0; 34 write 40; 38 freeze 0",
        "what is too large is given up in a last request that has no room to say so",
    ),
    (
        "684045; 27 write 1; 47 journal 0; 53 write 5; 104 pause 134261; 105 switch 0; 109 freeze 0; 111 kill 0; \
         113 consumer-kill 0; 114 pause 694824",
        "a page's late last request settles what the next one restored from an older journal",
    ),
    ("1; 152 write 1; 188 leave 0", "a last request says goodbye after everything that was made"),
    ("7; 178 write 2", "keys are introduced again on every connection"),
];
