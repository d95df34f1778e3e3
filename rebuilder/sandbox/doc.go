// Package sandbox runs one build at a time where it can hurt nobody.
//
// A build executes code that strangers wrote. The agent that starts it holds an attestation key, a spool of signed
// statements and other builds' outputs, and what the build prints and writes is later hashed and signed. So the sandbox
// promises (design §2.3, §6.10):
//
//   - a build cannot read or trace its agent: not the key files, the spool, the environment, the memory, the processes;
//   - a build cannot read or change another build, nor anything else of the host;
//   - a build that is not granted the network has none (levels userns and bwrap);
//   - when [Slot.Run] returns, every process of the build is dead, also those that forked twice or changed their session,
//     so that nothing can change an output while it is hashed;
//   - a build sees the same small world on every agent: fixed paths, host name, time zone, locale, umask and a closed
//     environment;
//   - neither an endless log, a fork bomb, a full disk nor a build that never ends hurts the agent.
//
// # Levels
//
// What a kernel and a container permit differs, so there are four levels. [Open] tries the strongest first, and tries it
// really: a probe runs in the sandbox, attempts each forbidden thing, and the level counts only if every attempt fails.
//
//	bwrap    root agent: own namespaces (bubblewrap) and an own uid per build
//	userns   ordinary user: own namespaces inside a user namespace (bubblewrap)
//	uid      root agent in a container without namespaces: an own uid per build, host file system and network visible;
//	         what a build leaves in /tmp stays there
//	none     nothing: refused unless Config.Insecure names it; such votes never count
//
// The level goes into every rebuild statement, and a suite's policy demands a minimum.
//
// # Use
//
//	box, err := sandbox.Open(ctx, sandbox.Config{WorkDir: "/var/lib/reprosign-build", Secrets: []string{keyFile, spool}})
//	slot, err := box.Acquire(ctx)
//	defer slot.Close()
//	out, err := slot.Dir("out", sandbox.BuildWrites)
//	result, err := slot.Run(ctx, sandbox.Spec{
//		Command: []string{"/bin/sh", "-c", "date > /out/date"},
//		Mounts:  []sandbox.Mount{{Host: out, Inside: "/out", Writable: true}},
//		Timeout: time.Hour,
//	})
//
// Memory is not limited here: run agents in a systemd slice or a container with a memory limit.
package sandbox
