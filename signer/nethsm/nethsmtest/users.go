package nethsmtest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// The limits of passphrases are in bytes and inclusive.
const (
	minPassphraseBytes = 10
	maxPassphraseBytes = 200
)

var (
	idPattern   = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	userPattern = regexp.MustCompile(`^([a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}~)?[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
)

func checkPassphrase(name, text string) *reply {
	if len(text) < minPassphraseBytes || len(text) > maxPassphraseBytes {
		return new(message(http.StatusBadRequest, "passphrase %s is not >= %d and <= %d characters", name, minPassphraseBytes, maxPassphraseBytes))
	}
	return nil
}

// generatedID is an id as the device makes them up: 20 hexadecimal digits.
func generatedID() string {
	data := make([]byte, 10)
	_, _ = rand.Read(data) // documented never to fail
	return hex.EncodeToString(data)
}

func userExists(c *call) bool {
	_, ok := c.contents.Users[c.arguments["user"]]
	return ok
}

func listUsers(c *call) reply {
	type item struct {
		User string `json:"user"`
	}
	items := []item{}
	for name := range c.contents.Users {
		if namespace := namespaceOf(name); c.namespace() == "" || namespace == c.namespace() {
			items = append(items, item{name})
		}
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.User, b.User) })
	return c.tagged(encoded(http.StatusOK, items))
}

// postUser creates a user under an id of the device's choice: POST /users, or POST /users/ns~ for one in a namespace.
func postUser(c *call) reply {
	prefix := c.arguments["user"]
	if prefix != "" && !strings.HasSuffix(prefix, "~") {
		return empty(http.StatusMethodNotAllowed)
	}
	return c.createUser(prefix+generatedID(), true)
}

func putUser(c *call) reply { return c.createUser(c.arguments["user"], false) }

func (c *call) createUser(name string, withBody bool) reply {
	if !userPattern.MatchString(name) {
		return message(http.StatusBadRequest, "Invalid user id")
	}
	namespace := namespaceOf(name)
	switch {
	case namespace == c.namespace():
	case c.namespace() != "":
		return empty(http.StatusForbidden)
	case c.contents.Namespaces[namespace]:
		return message(http.StatusForbidden, "R-User trying to create N-User for an already created namespace")
	}
	var request struct {
		RealName   string `json:"realName"`
		Role       string `json:"role"`
		Passphrase string `json:"passphrase"`
	}
	if refusal := c.decode(&request); refusal != nil {
		return *refusal
	}
	if refusal := checkPassphrase("user", request.Passphrase); refusal != nil {
		return *refusal
	}
	if !slices.Contains([]string{roleAdministrator, roleOperator, roleMetrics, roleBackup}, request.Role) {
		return message(http.StatusBadRequest, "Invalid data for JSON schema: unknown role")
	}
	if _, ok := c.contents.Users[name]; ok {
		return message(http.StatusConflict, "user already exists")
	}
	c.contents.Users[name] = &user{RealName: request.RealName, Role: request.Role, Passphrase: newPassphrase(request.Passphrase)}
	c.changed = true
	return created("users", name, withBody)
}

func getUser(c *call) reply {
	u := c.contents.Users[c.arguments["user"]]
	return c.tagged(encoded(http.StatusOK, struct {
		RealName string `json:"realName"`
		Role     string `json:"role"`
	}{u.RealName, u.Role}))
}

func deleteUser(c *call) reply {
	if c.arguments["user"] == c.name {
		return message(http.StatusBadRequest, "Users cannot delete themselves")
	}
	delete(c.contents.Users, c.arguments["user"])
	c.changed = true
	return empty(http.StatusNoContent)
}

func postPassphrase(c *call) reply {
	var request struct {
		Passphrase string `json:"passphrase"`
	}
	if refusal := c.decode(&request); refusal != nil {
		return *refusal
	}
	if refusal := checkPassphrase("user", request.Passphrase); refusal != nil {
		return *refusal
	}
	c.contents.Users[c.arguments["user"]].Passphrase = newPassphrase(request.Passphrase)
	c.changed = true
	return empty(http.StatusNoContent)
}

func getUserTags(c *call) reply {
	return c.tagged(encoded(http.StatusOK, c.contents.Users[c.arguments["user"]].Tags))
}

func putUserTag(c *call) reply {
	u := c.contents.Users[c.arguments["user"]]
	if u.Role != roleOperator {
		return message(http.StatusBadRequest, "tags are for operators only")
	}
	return c.addTag(&u.Tags)
}

func deleteUserTag(c *call) reply { return c.removeTag(&c.contents.Users[c.arguments["user"]].Tags) }

func (c *call) addTag(tags *[]string) reply {
	tag := c.arguments["tag"]
	if !idPattern.MatchString(tag) {
		return message(http.StatusBadRequest, "Invalid tag")
	}
	if slices.Contains(*tags, tag) {
		return empty(http.StatusNotModified)
	}
	*tags = append(*tags, tag)
	slices.Sort(*tags)
	c.changed = true
	return empty(http.StatusNoContent)
}

func (c *call) removeTag(tags *[]string) reply {
	i := slices.Index(*tags, c.arguments["tag"])
	if i < 0 {
		return empty(http.StatusNotFound)
	}
	*tags = slices.Delete(*tags, i, i+1)
	c.changed = true
	return empty(http.StatusNoContent)
}
