#if (IsMSTest)
using Microsoft.VisualStudio.TestTools.UnitTesting;
#endif
#if (IsNUnit)
using NUnit.Framework;
#endif
using Weft;
#if (IsXunit)
using Xunit;
#endif

namespace WeftTest1;

#if (IsMSTest)
[TestClass]
#endif
public class PipelineTests
{
#if (IsXunit)
    [Fact]
#elseif (IsMSTest)
    [TestMethod]
#else
    [Test]
#endif
    public void EachElementComesOutOnce()
    {
        Chan<int> numbers = new();
        Chan<int> doubled = new();
        WaitGroup workers = new();
        for (int i = 0; i < 10; i++)
        {
            workers.Go(() =>
            {
                foreach (int n in numbers)
                {
                    doubled.Send(2 * n);
                }
            });
        }
        Go.Run(() =>
        {
            for (int n = 1; n <= 100; n++)
            {
                numbers.Send(n);
            }
            numbers.Close();
            workers.Wait();
            doubled.Close();
        });

        int sum = doubled.Sum();

#if (IsXunit)
        Assert.Equal(10_100, sum);
#elseif (IsMSTest)
        Assert.AreEqual(10_100, sum);
#else
        Assert.That(sum, Is.EqualTo(10_100));
#endif
    }

#if (IsXunit)
    [Fact]
#elseif (IsMSTest)
    [TestMethod]
#else
    [Test]
#endif
    public void WhoGetsNoAnswerGivesUp()
    {
        Chan<string> answers = new();
        int chosen = Select.Wait(
            answers.ReceiveCase(), Time.After(TimeSpan.FromMilliseconds(20)).ReceiveCase());

#if (IsXunit)
        Assert.Equal(1, chosen);
#elseif (IsMSTest)
        Assert.AreEqual(1, chosen);
#else
        Assert.That(chosen, Is.EqualTo(1));
#endif
    }
}
