#include <gtest/gtest.h>

#include "certificates/handshake_fixture.h"

namespace terrace::certificates {
namespace {

using Side = net::TlsContext::Side;

// The site changes to a new authority. Each server moves on by itself: the steps are
// such that a server one step behind and one ahead still know each other.
class RotationTest : public testing::Test {
 protected:
  // A server at some step: whom it trusts, and who signed for it.
  struct Server {
    std::string name;
    Bundle bundle;
    Holder holder;
  };

  Server server(const char* name, const Bundle& bundle, const Authority& signer) {
    return {
        .name = name, .bundle = bundle, .holder = holder_of(signer, {.server = name}, meeting_.clock.wall())};
  }
  std::shared_ptr<const net::TlsContext> context(Side side, const Server& one) {
    return context_of(side, one.holder, Verifier::of_site(one.bundle, {}, meeting_.clock).value());
  }
  bool call(const Server& from, const Server& to) {
    meeting_.server.stream.close();
    meeting_.client.stream.close();
    meeting_.server.done = meeting_.client.done = false;
    meeting_.connect();
    EXPECT_TRUE(meeting_.meet(context(Side::kServer, to), context(Side::kClient, from), to.name));
    return meeting_.server.shaken && meeting_.client.shaken;
  }
  bool know_each_other(const Server& one, const Server& other) {
    return call(one, other) && call(other, one);
  }

  Meeting meeting_;
  Authority old_ = Authority::make("site-1", meeting_.clock.wall()).value();
  Authority new_ = Authority::make("site-1", meeting_.clock.wall()).value();
  Bundle only_old_ = Bundle::parse(old_.certificate_pem()).value();
  Bundle both_ = only_old_.with(new_.certificate_pem()).value();
  Bundle only_new_ = both_.without(old_.fingerprint()).value();
};

TEST_F(RotationTest, EachStepKnowsTheOneBeforeAndTheOneAfter) {
  const Server before = server("web1", only_old_, old_);
  const Server trusts_both = server("web2", both_, old_);
  const Server has_new = server("web3", both_, new_);
  const Server after = server("web4", only_new_, new_);
  EXPECT_TRUE(know_each_other(before, trusts_both));
  EXPECT_TRUE(know_each_other(trusts_both, has_new));
  EXPECT_TRUE(know_each_other(has_new, after));
  EXPECT_TRUE(know_each_other(trusts_both, trusts_both));
}

TEST_F(RotationTest, AStepThatIsLeftOutIsRefused) {
  const Server before = server("web1", only_old_, old_);
  EXPECT_FALSE(call(before, server("web3", both_, new_))) << "not all trust the new one yet";
  EXPECT_FALSE(call(server("web2", both_, old_), server("web4", only_new_, new_)))
      << "not all have new certificates";
  EXPECT_FALSE(call(before, server("web4", only_new_, new_)));
}

TEST_F(RotationTest, TheOldAuthorityIsOutWhenItIsRemoved) {
  const Server stolen = server("web9", only_old_, old_);
  EXPECT_FALSE(call(stolen, server("web1", only_new_, new_)));
  EXPECT_FALSE(call(server("web1", only_new_, new_), stolen));
}

TEST_F(RotationTest, ABundleHoldsOneOrTwoAuthoritiesOfOneSite) {
  EXPECT_EQ(both_.fingerprints().size(), 2u);
  EXPECT_TRUE(both_.trusts(old_.fingerprint()) && both_.trusts(new_.fingerprint()));
  EXPECT_EQ(both_.with(new_.certificate_pem())->pem(), both_.pem()) << "a step that is done twice";
  const Authority third = Authority::make("site-1", meeting_.clock.wall()).value();
  EXPECT_FALSE(both_.with(third.certificate_pem()));
  const Authority foreign = Authority::make("site-2", meeting_.clock.wall()).value();
  EXPECT_FALSE(only_old_.with(foreign.certificate_pem()));
  EXPECT_FALSE(only_old_.without(old_.fingerprint()));
  EXPECT_EQ(only_old_.without(new_.fingerprint())->pem(), only_old_.pem());
  const Holder web1 = holder_of(old_, {.server = "web1"}, meeting_.clock.wall());
  EXPECT_FALSE(Bundle::parse(web1.certificates_pem)) << "a server is no authority";
  EXPECT_FALSE(Bundle::parse(""));
  EXPECT_FALSE(Bundle::parse(old_.certificate_pem() + old_.certificate_pem()));
  EXPECT_FALSE(Bundle::parse(old_.certificate_pem() + old_.key_pem().value()));
}

}  // namespace
}  // namespace terrace::certificates
