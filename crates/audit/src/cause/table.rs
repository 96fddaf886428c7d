//! The table of causes: the one place where a cause has its name, token, code, title and advice.

use super::CauseRow;

/// Makes the types and the table of one list, so that no cause can be without its row.
macro_rules! causes {
    (
        failures { $(in $f_events:tt {
            $($failure:ident $f_token:literal $f_code:literal $f_title:literal $f_advice:literal)*
        })* }
        notifies { $(in $n_events:tt {
            $($notify:ident = $number:literal $n_token:literal $n_code:literal $n_title:literal $n_advice:literal)*
        })* }
        notes { $(in $o_events:tt {
            $($note:ident $o_token:literal $o_title:literal $o_advice:literal)*
        })* }
    ) => {
        /// An error notification of a peer that has no cause of its own (RFC 2408 3.14.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum NotifyErr {
            $($(#[doc = concat!("Number ", stringify!($number), ": ", $n_title, ".")] $notify = $number,)*)*
        }

        /// Why a negotiation failed, an SA ended, or a packet was invalid.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause {
            $($(#[doc = concat!("`", $f_token, "`: ", $f_title, ".")] $failure,)*)*
            /// The peer sent this error notification.
            PeerNotify(NotifyErr),
            $($(#[doc = concat!("`", $o_token, "`: ", $o_title, ".")] $note,)*)*
        }

        /// Every cause. First those of a failure (4652, 4653, 4654), then of an SA's end (4655, 5452), then of
        /// an invalid packet (4976, 4977).
        pub(crate) const CAUSES: &[CauseRow] = &[
            $($(CauseRow {
                cause: Cause::$failure,
                token: $f_token,
                code: Some($f_code),
                events: &$f_events,
                title: $f_title,
                advice: $f_advice,
            },)*)*
            $($(CauseRow {
                cause: Cause::PeerNotify(NotifyErr::$notify),
                token: $n_token,
                code: Some($n_code),
                events: &$n_events,
                title: $n_title,
                advice: $n_advice,
            },)*)*
            $($(CauseRow {
                cause: Cause::$note,
                token: $o_token,
                code: None,
                events: &$o_events,
                title: $o_title,
                advice: $o_advice,
            },)*)*
        ];
    };
}

causes! {
    failures {
        in [4652, 4653] {
            NoAnswer "no-answer" 13_805
                "the peer did not answer the first message"
                "Check that address and port are right, that the peer runs IKE there, and that UDP 500 and 4500, or the ports that the connection names, pass every firewall on the way."
            SilenceAfterMessage2 "silence-after-message-2" 13_805
                "the peer answered message 1 and then nothing to message 3"
                "Message 3 is larger than message 1: look for a path that drops large packets or port 4500, and read the log of the peer."
            SilenceAfterMessage4 "silence-after-message-4" 13_805
                "the peer answered message 3 and then nothing to message 5"
                "Peers that cannot accept our proof often stay silent: compare pre-shared key and identities, check that UDP 4500 passes, and read the log of the peer."
            SilenceAfterMessage1 "silence-after-message-1" 13_805
                "the peer proposed, we answered, and its message 3 never came"
                "Our answer may not reach the peer: check the path back to its address and port. A spoofed or probing source looks the same."
            SilenceAfterMessage3 "silence-after-message-3" 13_805
                "the peer sent its key exchange, we answered, and its message 5 never came"
                "Check that UDP 4500 passes both ways, that large packets do, and what the log of the peer says of our message 4."
            PskMismatch "psk-mismatch" 13_801
                "the pre-shared keys of the two sides differ"
                "Write the same pre-shared key at both ends. Look for a newline, quotes or another encoding in one of the two files."
            AuthenticationRefused "authentication-refused" 13_801
                "the peer refused our proof of identity"
                "Check that the identity we send is the one the peer expects, and that both ends have the same pre-shared key for it. The log of the peer says which."
            XauthFailed "xauth-failed" 13_801
                "the user that the peer named did not pass: another name, or another password"
                "Compare the user name and the password at the peer with the users of the connection, and look whether a connection names the user."
            XauthRefused "xauth-refused" 13_801
                "the peer proved the key, and then refused our user name or password"
                "Compare the user name and the password of this connection with those that the peer has for us."
            XauthSilence "xauth-silence" 13_805
                "both sides proved who they are, and then the peer said nothing more about the user"
                "Check that both ends use XAUTH for this connection, that one is its client and the other its server, and what the log of the peer says."
            XauthUnsupported "xauth-unsupported" 13_889
                "the peer asks the user for what is not known here: a challenge, a passcode or a one-time password"
                "Set the peer to ask for a user name and a password (generic XAUTH)."
            NoAcceptableProposal "no-acceptable-proposal" 13_868
                "nothing that the peer proposes is allowed here"
                "Add one of the proposals of the peer to this connection, or one of ours to the peer."
            NoProposalChosen "no-proposal-chosen" 13_868
                "the peer answered NO-PROPOSAL-CHOSEN"
                "Either our proposals and those of the peer differ: write one that both have. Or the peer has no connection for our address: add us there."
            NoConnection "no-connection" 13_825
                "no connection here covers the address of the peer"
                "Add a connection whose remote address covers this peer, or correct the one that was meant."
            KeyingModuleRefused "keying-module-refused" 13_850
                "the connection for this peer does not allow this keying module"
                "Add the keying module to `keying` of the connection, or make the peer use one that is listed there."
            AggressiveModeRefused "aggressive-mode-refused" 13_850
                "the peer asked for Aggressive Mode"
                "Set the peer to Main Mode: Aggressive Mode exposes a pre-shared key to offline guessing. Or write `exchange` in the connection."
            MainModeRefused "main-mode-refused" 13_850
                "the peer asked for Main Mode, and the connection for it is for Aggressive Mode"
                "Write the same `exchange` at both ends: Main Mode, if the peer can."
            InitiatorOnly "initiator-only" 13_825
                "the peer began, and the connection for it is begun from here alone"
                "Bring the connection up from here; or leave out its `initiator-only`, if this peer may begin."
            IdentityMismatch "identity-mismatch" 13_801
                "the peer proved the key, but gave an identity that the connection does not name"
                "Write the identity that the peer sends as `id` of the remote, or correct it at the peer."
            UnsupportedIdentity "unsupported-identity" 13_869
                "the peer sent a type of identity that is not known here"
                "Set the peer to identify itself by address, FQDN, user FQDN, distinguished name or key ID."
            CipherRefused "cipher-refused" 13_873
                "the peer proposes only ciphers that the policy refuses"
                "Set a stronger cipher at the peer, or name this one in `proposals` of the connection."
            HashRefused "hash-refused" 13_871
                "the peer proposes only hashes that the policy refuses"
                "Set a stronger hash at the peer, or name this one in `proposals` of the connection."
            GroupRefused "group-refused" 13_865
                "the peer proposes only Diffie-Hellman groups that the policy refuses"
                "Set a stronger group at the peer, or name this one in `proposals` of the connection."
            AuthMethodRefused "auth-method-refused" 13_874
                "the peer proposes only methods of authentication that the connection does not have"
                "Set the peer to the method in `auth` of the connection, or change `auth`."
            MalformedCert "malformed-cert" 13_835
                "the peer proved the key, but a Certificate payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedCertRequest "malformed-cert-request" 13_836
                "the peer proved the key, but a Certificate Request payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedSig "malformed-sig" 13_838
                "the peer proved the key, but a Signature payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedVendor "malformed-vendor" 13_842
                "the peer proved the key, but a Vendor ID payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            TooManySas "too-many-sas" 13_882
                "there are as many Main Mode SAs as there may be"
                "See in `mainmode status` who holds them. SAs of peers that are gone end by dead peer detection (`dpd`), and others sooner with a shorter `lifetime`."
            TooManyHalfOpen "too-many-half-open" 13_903
                "too many negotiations were half-open"
                "Find the sources that begin negotiations and do not finish them, and stop them on the way."
            RateLimited "rate-limited" 13_903
                "this peer begins negotiations faster than it is allowed to"
                "Find out why the peer keeps beginning anew: usually each of its attempts fails for another reason, logged before."
            WorkerTimeout "worker-timeout" 13_809
                "the computation for this negotiation took too long"
                "The computer is overloaded: give it more cores or fewer negotiations at a time."
        }
        in [4652, 4653, 4654] {
            NotSent "not-sent" 13_805
                "our message could not be sent"
                "The system says why: look at the routes and the firewall of this computer, and at the addresses that it listens on."
            HashMismatch "hash-mismatch" 13_870
                "the keys agree, but the hash of the peer is wrong"
                "The identity or the proposal was altered on the way, or the peer computes the hash otherwise. Capture the negotiation and compare both logs."
            ProposalAltered "proposal-altered" 13_802
                "the peer chose something that we did not offer"
                "The peer, or somebody on the path, changed the proposal. Update the peer; if it goes on, look at the path."
            UnknownDoi "unknown-doi" 13_862
                "the peer speaks for another domain of interpretation than IPsec"
                "The peer is not an IPsec peer as RFC 2407 has it. Check what it is."
            UnknownSituation "unknown-situation" 13_863
                "the peer asks for labelled security, which RFC 2407 allows and nobody uses"
                "Set the peer to the situation SIT_IDENTITY_ONLY."
            KeInvalid "ke-invalid" 13_822
                "the Diffie-Hellman value of the peer is of wrong size, out of range or not on the curve"
                "An honest peer does not send this: update it, or find out who answers at its address."
            MalformedSa "malformed-sa" 13_830
                "the peer proved the key, but an SA payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedProposal "malformed-proposal" 13_831
                "the peer proved the key, but a Proposal payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedTransform "malformed-transform" 13_832
                "the peer proved the key, but a Transform payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedKe "malformed-ke" 13_833
                "the peer proved the key, but a KE payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedId "malformed-id" 13_834
                "the peer proved the key, but an ID payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedHash "malformed-hash" 13_837
                "the peer proved the key, but a Hash payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedNonce "malformed-nonce" 13_839
                "the peer proved the key, but a Nonce payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedNotify "malformed-notify" 13_840
                "the peer proved the key, but a Notify payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedDelete "malformed-delete" 13_841
                "the peer proved the key, but a Delete payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MalformedPayload "malformed-payload" 13_843
                "the peer proved the key, but a payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            DeletedEarly "deleted-before-established" 13_807
                "the peer deleted the SA before it was established"
                "Somebody ended it at the peer, or the peer does not want it. The log of the peer says why."
            StoppedByOperator "stopped-by-operator" 13_808
                "the connection was brought down here while it was negotiating"
                "Nothing to change: bring the connection up again when it is wanted."
            PolicyChanged "policy-changed" 13_849
                "the configuration changed while this was negotiating"
                "Nothing to change: the next negotiation goes by the new configuration."
            ShuttingDown "shutting-down" 13_891
                "the daemon shut down while this was negotiating"
                "Nothing to change: it is negotiated again after the start."
            QueueFull "queue-full" 13_811
                "too many computations were waiting"
                "The computer is overloaded: give it more cores or fewer negotiations at a time."
            DhFailure "dh-failure" 13_864
                "our own Diffie-Hellman computation failed"
                "The cryptographic library failed: look at the messages of the daemon, and update it: the library is part of it."
            EncryptFailure "encrypt-failure" 13_866
                "our own encryption failed"
                "The cryptographic library failed: look at the messages of the daemon, and update it: the library is part of it."
            OutOfMemory "out-of-memory" 13_859
                "memory ran out"
                "Give the daemon more memory, or find what uses it."
            LogUnwritable "log-unwritable" 13_804
                "the event could not be written, and the log must be written first"
                "Repair the log: look at the disk and its permissions. `when-unwritable = \"continue\"` negotiates all the same and counts."
            PeerNotifyOther "peer-notify-other" 13_816
                "the peer answered with an error that RFC 2408 does not name"
                "Read the log of the peer."
        }
        in [4652] {
            CertificateMissing "certificate-missing" 13_847
                "the peer sent no certificate, and none of it is known here"
                "Install a certificate with its private key at the peer, set it to send the certificate, or give the certificate of the peer to this connection."
            CertificateExpired "certificate-expired" 13_801
                "a certificate of the peer has expired"
                "Renew the certificate that is named, and check that the clocks of both computers are right."
            CertificateNotYetValid "certificate-not-yet-valid" 13_801
                "a certificate of the peer is not valid yet"
                "Check the clock of this computer and of the one that issued the certificate; else wait, or issue it anew."
            CertificateUntrusted "certificate-untrusted" 13_887
                "the certificate of the peer does not chain to a CA that this connection trusts"
                "Add the CA that issued it to `ca` of the connection, or give the peer a certificate of a CA that is there. Where a CA in between is missing, set the peer to send it or add it here. With `pinned` its certificate has to be known here as well."
            CertificateIssuerRefused "certificate-issuer-refused" 13_887
                "a certificate in the chain of the peer was issued by one that may not do so"
                "The CA that is named is no CA, has issued further down than its path length allows, or for a name outside its name constraints. Have the certificate issued by one that may."
            CertificateExtensionUnknown "certificate-extension-unknown" 13_887
                "a certificate of the peer has a critical extension that is not known here"
                "Issue the certificate without that extension, or not as critical."
            CertificateSignatureBad "certificate-signature-bad" 13_875
                "the signature on a certificate of the peer is wrong"
                "The certificate was damaged or forged, or another CA has the same name: compare the CA here with the one that issued it."
            CertificateRevoked "certificate-revoked" 13_848
                "a certificate of the peer is revoked"
                "If the peer is still to be let in, issue a new certificate with a new key. If not, this is the revocation at work."
            RevocationUnknown "certificate-revocation-unknown" 13_848
                "whether the certificate of the peer is revoked could not be learnt, and this connection wants to know"
                "Check that the CRL or the OCSP responder named by the certificate can be reached and is up to date, or put a CRL here. `revocation` of the connection says how much is asked for."
            CertificateNameMismatch "certificate-name-mismatch" 13_801
                "the certificate of the peer does not hold the identity that the peer gave"
                "Issue the certificate with that identity as subjectAltName, or set the peer to identify itself by a name that its certificate has."
            CertificateKeyWeak "certificate-key-weak" 13_881
                "a key in the chain of the peer is shorter than this connection allows, or of a make that is not taken"
                "Issue the certificate that is named for a longer key or, where it is RSA with a public exponent below 65537, for one with that exponent: OpenSSL makes it so unless told otherwise."
            CertificateHashWeak "certificate-hash-weak" 13_881
                "a certificate of the peer is signed over a hash that can be forged"
                "Have the certificate that is named signed with SHA-256 or better."
            CertificateUsage "certificate-usage" 13_818
                "the certificate of the peer is not meant for this use"
                "Issue it with digitalSignature as key usage; where it has an extended key usage, with ipsecIKE, serverAuth or clientAuth."
            CertificateType "certificate-type" 13_819
                "the certificate of the peer is of a type, or has a kind of key, that does not fit the method of authentication"
                "Use X.509 certificates for signatures, with an RSA key for RSA signatures and a key on the right curve for ECDSA."
            SignatureMismatch "signature-mismatch" 13_826
                "the certificate of the peer is good, and its signature on this exchange is wrong"
                "Check that the private key at the peer belongs to its certificate. If it does, the identity or the proposal was altered on the way."
            CertificateRefusedByPeer "certificate-refused-by-peer" 13_801
                "the peer refused our certificate or our signature"
                "Check that the peer trusts the CA of our certificate, that the certificate holds the identity that we send, and that it is valid. The log of the peer says which."
            OwnCertificateMissing "own-certificate-missing" 13_806
                "we have no certificate for this connection"
                "Write `certificate` and `key` in `auth` of the connection."
            OwnCertificateNoneFits "own-certificate-none-fits" 13_806
                "none of our certificates has a key of the kind that was agreed on"
                "Get a certificate for a key of that kind, RSA or ECDSA on the curve that is named, or take that kind out at the peer."
            OwnCertificateExpired "own-certificate-expired" 13_806
                "our own certificate has expired"
                "Renew our certificate, and check that the clock of this computer is right."
            OwnCertificateNotYetValid "own-certificate-not-yet-valid" 13_806
                "our own certificate is not valid yet"
                "Check the clock of this computer; else wait, or issue our certificate anew."
            OwnPrivateKeyMissing "own-private-key-missing" 13_820
                "our certificate has no private key here"
                "Write the file of the key, or its place in the token, as `key` in `auth`; check that the daemon may read it and that the token is plugged in."
            OwnKeyUnusable "own-key-unusable" 13_820
                "our private key could not sign"
                "Check that the key belongs to the certificate and fits the method of authentication, and that its token is plugged in and its PIN right."
        }
        in [4654] {
            QuickModeNoAnswer "quick-mode-no-answer" 13_805
                "the peer did not answer our Quick Mode"
                "The Main Mode SA stands, so that the path is open: read the log of the peer. Many peers say nothing when they do not accept a Quick Mode: compare traffic selectors, ESP proposals and perfect forward secrecy."
            QuickModeUnconfirmed "quick-mode-unconfirmed" 13_805
                "the peer proposed, we answered, and its last message never came"
                "Our answer may not reach the peer, or the peer does not accept it: read its log, and look for a path that drops large packets."
            CommitUnconfirmed "commit-unconfirmed" 13_805
                "the peer set the commit bit, and its CONNECTED never came"
                "Read the log of the peer, or switch the commit bit off there."
            SelectorsRefused "selectors-refused" 13_825
                "no child of the connection covers the traffic that the peer asks for"
                "Write the same subnets, protocol and ports at both ends, each as the mirror of the other: `local` here is the remote side there."
            PoolUsedUp "pool-used-up" 13_825
                "the peer got no address within the tunnel, since every pool of the connection is used up, and asks for traffic that no child covers without one"
                "Make the pool larger (`addresses` of [[pool]]), or end what holds its addresses: `mainmode status` shows it."
            SelectorsRefusedByPeer "selectors-refused-by-peer" 13_825
                "the peer answered INVALID-ID-INFORMATION: it does not accept the traffic that we ask for"
                "Write the same subnets, protocol and ports at both ends, each as the mirror of the other: `local` here is the remote side there."
            NoSelectorPair "no-selector-pair" 13_825
                "no two selectors of the child, one of each side, are of the same version of IP"
                "Write `local` and `remote` of the child for one version of IP. `dynamic` is the address of the side, or the one that Mode Config gave it."
            OutsideSplitInclude "outside-split-include" 13_825
                "the gateway says which nets the tunnel is for (Cisco Unity), and the child has none of them"
                "Widen `remote` of the child, up to \"0.0.0.0/0\", or add its nets at the gateway; or take \"unity\" out of `request`: then the gateway is not asked for nets."
            UnsupportedSelector "unsupported-selector" 13_869
                "the peer describes traffic by what no selector here has: an ID without addresses, or a type of ICMP"
                "Set the peer to describe traffic by address, subnet or range of addresses, with a port for TCP, UDP and their like alone."
            EspNotAcceptable "no-acceptable-esp-proposal" 13_868
                "nothing that the peer proposes for the IPsec SA is allowed here"
                "Add one of the ESP or AH proposals of the peer to this child, or one of ours to the peer."
            EspMalformed "malformed-esp-proposal" 13_831
                "the peer proposes algorithms for the IPsec SA that are allowed here, but not as RFC 2407 has it"
                "The peer builds its proposal wrongly: update it, and keep a capture for its maker."
            EspNotChosen "no-esp-proposal-chosen" 13_868
                "the peer answered NO-PROPOSAL-CHOSEN to our Quick Mode"
                "The Main Mode SA stands: what differs are the proposals for ESP or AH, perfect forward secrecy, or tunnel and transport mode. Write what both have."
            ModeRefused "encapsulation-refused" 13_868
                "the peer wants transport mode where this child has tunnel mode, or the other way round"
                "Set the same mode at both ends."
            PfsRefused "pfs-refused" 13_865
                "the peer does not use perfect forward secrecy as this child has it"
                "Write the same group, or none, at both ends: the word after the algorithms, as in aes256gcm16-ecp256."
            HashRefusedByPeer "quick-mode-hash-refused" 13_870
                "the peer finds that the hash of our message is wrong"
                "The Main Mode SA may be another one at the peer: bring the connection down and up. If it repeats, keep a capture and read the log of the peer."
            MalformedNatOa "malformed-nat-oa" 13_893
                "the peer proved the key, but a NAT-OA payload in its message is missing, doubled or broken"
                "The peer builds its messages wrongly: update it, and keep a capture for its maker."
            MainModeLost "main-mode-lost" 13_885
                "the Main Mode SA ended while this was negotiating"
                "Nothing to change, if it comes seldom: it is negotiated anew. Otherwise look for why the Main Mode SA ended; its own event says it."
            PeerGone "peer-gone" 13_886
                "the peer stopped answering under its Main Mode SA"
                "Find out whether the peer or the path to it is down. Dead peer detection asks again as `dpd` says."
            RekeyCollision "rekey-collision" 13_821
                "both sides negotiated the same IPsec SA at once, and the one of the peer was kept"
                "Nothing to change."
            TooManyQuickModes "too-many-quick-modes" 13_903
                "the peer has more Quick Modes under way than it is allowed to"
                "Find out why the peer keeps beginning anew: usually each of its attempts fails for another reason, logged before."
            QuickModeWorkerTimeout "quick-mode-worker-timeout" 13_810
                "the computation for this Quick Mode took too long"
                "The computer is overloaded: give it more cores or fewer negotiations at a time."
            NoSpi "no-spi" 13_857
                "no SPI could be had for the IPsec SA"
                "The data plane has no room for another SA: look at the messages of the daemon."
            InstallFailed "install-failed" 13_860
                "the data plane did not take the IPsec SA"
                "Read what it said: usually a missing kernel module or privilege, an algorithm that it does not have, or a policy of somebody else in the same place."
        }
    }
    notifies {
        in [4652, 4653, 4654] {
            InvalidPayloadType = 1 "peer-invalid-payload-type" 13_843
                "the peer answered INVALID-PAYLOAD-TYPE: it does not know a payload that we sent"
                "Read the log of the peer; if it names a payload, update the peer."
            DoiNotSupported = 2 "peer-doi-not-supported" 13_862
                "the peer answered DOI-NOT-SUPPORTED: it does not speak the IPsec domain of interpretation"
                "The peer is not an IPsec peer as RFC 2407 has it. Check the address."
            SituationNotSupported = 3 "peer-situation-not-supported" 13_863
                "the peer answered SITUATION-NOT-SUPPORTED: it wants another situation than SIT_IDENTITY_ONLY"
                "Set the peer to the situation SIT_IDENTITY_ONLY."
            InvalidCookie = 4 "peer-invalid-cookie" 13_846
                "the peer answered INVALID-COOKIE: it does not know the cookies of this negotiation"
                "The peer restarted or forgot the negotiation: try again. If it repeats, look for two hosts behind one address."
            InvalidMajorVersion = 5 "peer-invalid-major-version" 13_880
                "the peer answered INVALID-MAJOR-VERSION: it does not speak IKE version 1"
                "Enable IKEv1 for us at the peer."
            InvalidMinorVersion = 6 "peer-invalid-minor-version" 13_880
                "the peer answered INVALID-MINOR-VERSION: it does not speak IKE version 1.0"
                "Enable IKEv1 for us at the peer."
            InvalidExchangeType = 7 "peer-invalid-exchange-type" 13_824
                "the peer answered INVALID-EXCHANGE-TYPE: it does not accept the exchange that we began"
                "Enable Main Mode for us at the peer."
            InvalidFlags = 8 "peer-invalid-flags" 13_824
                "the peer answered INVALID-FLAGS: it does not accept the flags of our header"
                "Keep a capture: our header is right by RFC 2408, or somebody changed it on the way."
            InvalidMessageId = 9 "peer-invalid-message-id" 13_888
                "the peer answered INVALID-MESSAGE-ID: it did not expect the message ID"
                "Try again; if it repeats, keep a capture and read the log of the peer."
            InvalidProtocolId = 10 "peer-invalid-protocol-id" 13_831
                "the peer answered INVALID-PROTOCOL-ID: it does not know the protocol in our proposal"
                "Check that the peer runs IKE for IPsec."
            InvalidSpi = 11 "peer-invalid-spi" 13_846
                "the peer answered INVALID-SPI: it does not know the SPI"
                "The peer restarted or forgot the negotiation: try again."
            InvalidTransformId = 12 "peer-invalid-transform-id" 13_832
                "the peer answered INVALID-TRANSFORM-ID: it does not know a transform that we offered"
                "Offer fewer or other proposals to this peer."
            AttributesNotSupported = 13 "peer-attributes-not-supported" 13_802
                "the peer answered ATTRIBUTES-NOT-SUPPORTED: it does not support an attribute that we offered"
                "Offer what the peer has: compare cipher, hash, group, authentication and lifetime."
            BadProposalSyntax = 15 "peer-bad-proposal-syntax" 13_831
                "the peer answered BAD-PROPOSAL-SYNTAX: it cannot read our proposal"
                "Offer fewer proposals to this peer, and keep a capture for its maker."
            PayloadMalformed = 16 "peer-payload-malformed" 13_843
                "the peer answered PAYLOAD-MALFORMED: it finds a payload of ours malformed"
                "Before encryption: update the peer. After it, this usually means that the keys differ: compare the pre-shared keys."
            InvalidKeyInformation = 17 "peer-invalid-key-information" 13_822
                "the peer answered INVALID-KEY-INFORMATION: it does not accept our key exchange"
                "Try another Diffie-Hellman group; the peer may also have no key for our address."
            InvalidIdInformation = 18 "peer-invalid-id-information" 13_801
                "the peer answered INVALID-ID-INFORMATION: it does not accept our identity"
                "Send the identity that the peer expects: `id` of the local side."
            InvalidCertEncoding = 19 "peer-invalid-cert-encoding" 13_835
                "the peer answered INVALID-CERT-ENCODING: it cannot read our certificate"
                "Check the certificate file and its encoding."
            InvalidCertificate = 20 "peer-invalid-certificate" 13_801
                "the peer answered INVALID-CERTIFICATE: it does not accept our certificate"
                "Check that the certificate is valid and that the peer trusts its CA."
            CertTypeUnsupported = 21 "peer-cert-type-unsupported" 13_819
                "the peer answered CERT-TYPE-UNSUPPORTED: it does not support our type of certificate"
                "Use an X.509 certificate for signatures."
            InvalidCertAuthority = 22 "peer-invalid-cert-authority" 13_887
                "the peer answered INVALID-CERT-AUTHORITY: it does not trust our certificate authority"
                "Add our CA at the peer, or use a certificate of one it trusts."
            InvalidSignature = 25 "peer-invalid-signature" 13_826
                "the peer answered INVALID-SIGNATURE: it does not accept our signature"
                "Check that the private key belongs to the certificate."
            AddressNotification = 26 "peer-address-notification" 13_816
                "the peer answered ADDRESS-NOTIFICATION: it sent an address notification"
                "Read the log of the peer: this notify is not used in negotiations."
            NotifySaLifetime = 27 "peer-notify-sa-lifetime" 13_816
                "the peer answered NOTIFY-SA-LIFETIME: it sent a lifetime notification as an error"
                "Offer the lifetime that the peer has."
            CertificateUnavailable = 28 "peer-certificate-unavailable" 13_847
                "the peer answered CERTIFICATE-UNAVAILABLE: it has no certificate to send"
                "Install a certificate at the peer, or authenticate in another way."
            UnsupportedExchangeType = 29 "peer-unsupported-exchange-type" 13_850
                "the peer answered UNSUPPORTED-EXCHANGE-TYPE: it does not support the exchange that we began"
                "Enable Main Mode for us at the peer."
            UnequalPayloadLengths = 30 "peer-unequal-payload-lengths" 13_843
                "the peer answered UNEQUAL-PAYLOAD-LENGTHS: it finds that the lengths in our message do not add up"
                "Look for a path that changes packets, and keep a capture."
        }
        in [4652, 4653] {
            InvalidHashInformation = 23 "peer-invalid-hash-information" 13_870
                "the peer answered INVALID-HASH-INFORMATION before we had sent a proof of who we are"
                "It can have found no hash of ours wrong yet. Read the log of the peer, or look for somebody else who answers in its name."
            AuthenticationFailed = 24 "peer-authentication-failed" 13_801
                "the peer answered AUTHENTICATION-FAILED before we had sent a proof of who we are"
                "It can have found no proof of ours wrong yet: it may have no connection or no key for our address. Add us there; the log of the peer says more."
        }
    }
    notes {
        in [4655, 5452] {
            Expired "expired"
                "its lifetime ended"
                "Nothing to change; a connection in use is replaced before that."
            Replaced "replaced"
                "a new SA with the same peer took its place"
                "Nothing to change."
            PeerDead "peer-dead"
                "the peer stopped answering"
                "Find out whether the peer or the path to it is down. Dead peer detection asks again as `dpd` says."
            OrphanedByCrash "orphaned-by-crash"
                "it was alive when the daemon died; this was found at the next start"
                "Find out what ended the daemon: the journal of that moment says it."
        }
        in [4655] {
            MessageIdsUsedUp "message-ids-used-up"
                "so many exchanges ran under it that replays could no longer be told from new ones"
                "Find out what asks so often: dead peer detection (`dpd`), or children that are replaced every few seconds."
            GaveWay "gave-way"
                "whoever holds it has so many that the oldest gave way to a new one"
                "See in `mainmode status` who holds so many, and find out why it begins anew all the time. Peers that share one pre-shared key count together: give them connections with keys of their own."
            InnerAddressRefused "inner-address-refused"
                "the peer gave us no address within the tunnel (Mode Config)"
                "Look whether the peer has a pool with a free address for this connection, of the family that we ask for."
            InnerAddressSilence "inner-address-silence"
                "the peer said nothing to our question for an address within the tunnel (Mode Config)"
                "Check that the peer uses Mode Config for this connection, and which side begins: `pull` here is pull there. The log of the peer says more."
        }
        in [4655, 5049, 5452] {
            DeletedByPeer "deleted-by-peer"
                "the peer deleted it"
                "Nothing to change, unless it was not meant: then the log of the peer says why."
            DeletedByOperator "deleted-by-operator"
                "it was brought down here"
                "Nothing to change."
            Shutdown "shutdown"
                "the daemon shut down"
                "Nothing to change, if it was meant."
        }
        in [5452] {
            MainModeEnded "main-mode-ended"
                "the Main Mode SA under which it was made ended, and took it along"
                "Nothing to change, unless it was not meant: then the 4655 says why the Main Mode SA ended."
            LostByDataPlane "lost-by-data-plane"
                "the data plane no longer has it"
                "Find out who removed it: somebody who flushed the SAs of the kernel, or another keying daemon on this host."
        }
        in [4976, 4977] {
            PacketMalformed "packet-malformed"
                "a packet that does not parse"
                "If it goes on, find out what runs at the address: a scanner, another protocol, or a peer that builds its messages wrongly."
            PacketOutOfPlace "packet-out-of-place"
                "a well-formed packet that this negotiation does not expect"
                "If it goes on, look for two hosts behind one address, or for a peer that restarts all the time."
            PacketTampered "packet-tampered"
                "a packet that was changed on its way, or was made by somebody without the key"
                "If it goes on, look for a path that damages packets, or for an attack from that address."
            PacketReplayed "packet-replayed"
                "an old packet that was sent again"
                "If it goes on, look for a path that duplicates packets, or for a replay from that address."
        }
    }
}
