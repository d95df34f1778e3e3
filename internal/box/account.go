package box

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is whom PostgreSQL runs as. Its programs refuse to run as root, so
// root's box hands its directory to the system's postgres user, or to nobody.
type account struct {
	name     string
	uid, gid uint32
	// credential is nil when the calling process already is this account.
	credential *syscall.Credential
}

// currentAccount picks the account for this process.
func currentAccount() (account, error) {
	if euid := os.Geteuid(); euid != 0 {
		return account{name: "uid " + strconv.Itoa(euid), uid: uint32(euid), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("reading the uid of user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("reading the gid of user %s: %w", name, err)
		}
		return account{
			name: name, uid: uint32(uid), gid: uint32(gid),
			credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}},
		}, nil
	}
	return account{}, fmt.Errorf("running PostgreSQL as root: neither user postgres nor user nobody exists to run it as")
}

// take makes dir the account's own, with no access for others.
func (a account) take(dir string) error {
	if a.credential != nil {
		if err := os.Chown(dir, int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("handing the directory to user %s: %w", a.name, err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // G302: a directory, and as closed as one can be
		return fmt.Errorf("closing the directory to others: %w", err)
	}
	return nil
}

// canReach reports the first directory above dir that the account may not
// pass through: root's own home, usually, which PostgreSQL itself would report
// as a directory that does not exist.
func (a account) canReach(dir string) error {
	if a.credential == nil {
		return nil
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return fmt.Errorf("examining the directories above the cluster: %w", err)
		}
		if !a.mayEnter(info) {
			return fmt.Errorf("directory %s does not let user %s pass, under whom PostgreSQL runs for root: choose a directory elsewhere, for instance below /var/lib or /tmp, or run as another user", parent, a.name)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

func (a account) mayEnter(dir os.FileInfo) bool {
	stat, ok := dir.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	const ownerExec, groupExec, otherExec = 0o100, 0o010, 0o001
	switch perm := dir.Mode().Perm(); {
	case stat.Uid == a.uid:
		return perm&ownerExec != 0
	case stat.Gid == a.gid:
		return perm&groupExec != 0
	default:
		return perm&otherExec != 0
	}
}
