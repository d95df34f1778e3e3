package nethsmtest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const newOperator = `{"realName":"An Operator","role":"Operator","passphrase":"soft hsm passphrase"}`

func TestUsersAreCreatedReadAndDeleted(t *testing.T) {
	s := device(t)
	created := ask{method: "PUT", path: "users/new", user: "admin", body: newOperator}.want(t, s, 201, "-")
	if got := created.Header.Get("Location"); got != "/api/v1/users/new" {
		t.Errorf("Location is %q", got)
	}
	ask{method: "PUT", path: "users/new", user: "admin", body: newOperator}.want(t, s, 409, "user already exists")
	got := decode[map[string]string](t, s, ask{method: "GET", path: "users/new", user: "new"})
	if diff := cmp.Diff(map[string]string{"realName": "An Operator", "role": "Operator"}, got); diff != "" {
		t.Error(diff)
	}
	generated := ask{method: "POST", path: "users", user: "admin", body: newOperator}.want(t, s, 201, "")
	if id := strings.TrimPrefix(generated.Header.Get("Location"), "/api/v1/users/"); len(id) != 20 {
		t.Errorf("generated id %q, want 20 digits", id)
	}
	ask{method: "DELETE", path: "users/admin", user: "admin"}.want(t, s, 400, "Users cannot delete themselves")
	ask{method: "DELETE", path: "users/new", user: "admin"}.want(t, s, 204, "-")
	ask{method: "GET", path: "users/new", user: "admin"}.want(t, s, 404, "-")

	for _, id := range []string{"-a", "a~b~c", "~a", "a%20b", strings.Repeat("a", 129)} {
		ask{method: "PUT", path: "users/" + id, user: "admin", body: newOperator}.want(t, s, 400, "Invalid user id")
	}
	put := ask{method: "PUT", path: "users/other", user: "admin", body: strings.Replace(newOperator, "Operator\"", "King\"", 2)}
	put.want(t, s, 400, "")
	put.body = strings.Replace(newOperator, "soft hsm passphrase", "too short", 1)
	put.want(t, s, 400, "passphrase user is not >= 10 and <= 200 characters")
	put.body, put.header = newOperator, map[string]string{"Content-Type": ""}
	put.want(t, s, 415, "-")
}

func TestPassphrasesAreChangedByTheirOwnerOrAnAdministrator(t *testing.T) {
	s := device(t)
	change := ask{method: "POST", path: "users/operator/passphrase", user: "operator", body: `{"passphrase":"another passphrase"}`}
	change.want(t, s, 204, "-")
	ask{method: "GET", path: "keys", user: "operator", passphrase: "another passphrase"}.want(t, s, 200, "")
	ask{method: "GET", path: "keys", user: "operator"}.want(t, s, 401, "-")
	change.user = "ns~operator"
	change.want(t, s, 403, "-")
	change.user = "ns~admin"
	change.want(t, s, 403, "-")
	change.user, change.body = "admin", `{"passphrase":"short"}`
	change.want(t, s, 400, "")
}

func TestTagsDecideWhoUsesAKeyButNotWhoReadsIt(t *testing.T) {
	s := device(t)
	sign := func(id string, status int, says string) {
		t.Helper()
		ask{method: "POST", path: "keys/" + id + "/sign", user: "operator", body: `{"mode":"EdDSA","message":"eA=="}`}.want(t, s, status, says)
	}
	sign("ed", 200, "")
	sign("tagged", 200, "")
	sign("foreign", 403, "tags restriction not met")
	ask{method: "GET", path: "keys/foreign/public.pem", user: "operator"}.want(t, s, 200, "")

	usable := decode[[]map[string]string](t, s, ask{method: "GET", path: "keys?filter=x", user: "operator"})
	if diff := cmp.Diff([]map[string]string{{"id": "ed"}, {"id": "tagged"}}, usable); diff != "" {
		t.Error(diff)
	}

	give := ask{method: "PUT", path: "users/operator/tags/rome", user: "admin", header: map[string]string{"Content-Type": ""}}
	give.want(t, s, 204, "-")
	give.want(t, s, 304, "-")
	sign("foreign", 200, "")
	ask{method: "DELETE", path: "users/operator/tags/rome", user: "admin"}.want(t, s, 204, "-")
	ask{method: "DELETE", path: "users/operator/tags/rome", user: "admin"}.want(t, s, 404, "-")
	sign("foreign", 403, "tags restriction not met")

	restrict := ask{method: "PUT", path: "keys/ed/restrictions/tags/oslo", user: "admin"}
	restrict.want(t, s, 204, "-")
	restrict.want(t, s, 304, "-")
	sign("ed", 403, "tags restriction not met")
	ask{method: "DELETE", path: "keys/ed/restrictions/tags/oslo", user: "admin"}.want(t, s, 204, "-")
	ask{method: "DELETE", path: "keys/ed/restrictions/tags/oslo", user: "admin"}.want(t, s, 404, "-")
	sign("ed", 200, "")

	ask{method: "PUT", path: "users/metrics/tags/rome", user: "admin"}.want(t, s, 400, "tags are for operators only")
	ask{method: "PUT", path: "users/operator/tags/-x", user: "admin"}.want(t, s, 400, "Invalid tag")
}

func TestNamespacesAreSetUpFromTheirAdministratorOn(t *testing.T) {
	s := device(t)
	admin := strings.Replace(newOperator, `"role":"Operator"`, `"role":"Administrator"`, 1)
	ask{method: "PUT", path: "users/two~admin", user: "admin", body: admin}.want(t, s, 201, "-")
	ask{method: "GET", path: "keys", user: "two~admin"}.want(t, s, 403, "-") // not before the namespace exists
	ask{method: "PUT", path: "namespaces/two", user: "admin"}.want(t, s, 204, "-")
	ask{method: "PUT", path: "namespaces/two", user: "admin"}.want(t, s, 400, "namespace already exists")
	ask{method: "PUT", path: "users/two~operator", user: "admin", body: newOperator}.want(t, s, 403, "R-User trying to create N-User for an already created namespace")
	ask{method: "PUT", path: "users/two~operator", user: "two~admin", body: newOperator}.want(t, s, 201, "-")
	ask{method: "POST", path: "users/two~", user: "two~admin", body: newOperator}.want(t, s, 201, "")
	ask{method: "PUT", path: "users/ns~x", user: "two~admin", body: newOperator}.want(t, s, 403, "-")
	ask{method: "PUT", path: "users/x", user: "two~admin", body: newOperator}.want(t, s, 403, "-")
	ask{method: "DELETE", path: "users/two~operator", user: "admin"}.want(t, s, 403, "-")
	ask{method: "POST", path: "lock", user: "two~admin"}.want(t, s, 403, "-")

	users := decode[[]map[string]string](t, s, ask{method: "GET", path: "users", user: "ns~admin"})
	if diff := cmp.Diff([]map[string]string{{"user": "ns~admin"}, {"user": "ns~operator"}}, users); diff != "" {
		t.Error(diff)
	}
	namespaces := decode[[]map[string]string](t, s, ask{method: "GET", path: "namespaces", user: "admin"})
	if diff := cmp.Diff([]map[string]string{{"id": "ns"}, {"id": "two"}}, namespaces); diff != "" {
		t.Error(diff)
	}
}

func TestANamespaceHidesItsKeysAndTakesThemAlong(t *testing.T) {
	s := device(t)
	only := ask{method: "GET", path: "keys/only"}
	only.user = "admin"
	only.want(t, s, 404, "-")
	only.user = "ns~operator"
	only.want(t, s, 200, "")
	ask{method: "GET", path: "keys/tagged", user: "ns~operator"}.want(t, s, 404, "-")

	ask{method: "DELETE", path: "namespaces/ns", user: "admin"}.want(t, s, 204, "-")
	ask{method: "DELETE", path: "namespaces/ns", user: "admin"}.want(t, s, 404, "-")
	if _, ok := s.Signatures()["ns~only"]; ok {
		t.Error("the key outlived its namespace")
	}
	only.want(t, s, 403, "-")
	ask{method: "PUT", path: "namespaces/ns", user: "admin"}.want(t, s, 204, "-")
	only.want(t, s, 404, "-") // its user is back, its key is gone
}
